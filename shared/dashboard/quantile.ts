/** Cumulative: `count` values were at most `upperBound`. The last bound is infinite. */
export interface Bucket {
  readonly upperBound: number;
  readonly count: number;
}

/**
 * The value below which the share `q` of all values lies, estimated as Prometheus' histogram_quantile does:
 * the values of a bucket are taken to be spread evenly. Null without values. Beyond the last finite bound
 * nothing is known, so that bound is the answer.
 */
export function quantile(q: number, buckets: readonly Bucket[]): number | null {
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
