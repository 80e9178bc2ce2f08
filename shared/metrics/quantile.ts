/** Cumulative: `count` values were at most `upperBound`. The last bound is infinite. */
export interface Bucket {
  readonly upperBound: number;
  readonly count: number;
}

/**
 * The quantile `q`, estimated like histogram_quantile() of Prometheus, which assumes that the values of a bucket are
 * distributed evenly. Null without values. A quantile above the last finite bound is reported as that bound.
 */
export function histogramQuantile(q: number, buckets: readonly Bucket[]): number | null {
  const sorted = [...buckets].sort((a, b) => a.upperBound - b.upperBound);
  const total = sorted.at(-1)?.count ?? 0;
  if (total === 0) return null;
  const rank = q * total;
  const i = sorted.findIndex(({ count }) => count >= rank);
  const bucket = sorted[i];
  const before = sorted[i - 1];
  if (!bucket) return null;
  if (bucket.upperBound === Number.POSITIVE_INFINITY) return before?.upperBound ?? null;
  const lowerBound = before?.upperBound ?? 0;
  const below = before?.count ?? 0;
  if (bucket.count === below) return bucket.upperBound;
  return lowerBound + ((bucket.upperBound - lowerBound) * (rank - below)) / (bucket.count - below);
}
