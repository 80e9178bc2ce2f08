/** The quantile `part` (0 to 1) of the values, interpolated. NaN without values. */
export function quantile(values: number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * part;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}

/** Cumulative: `count` values were at most `upperBound`. The last bound is infinite. */
export interface Bucket {
  readonly upperBound: number;
  readonly count: number;
}

/**
 * The quantile `part` of the values in a histogram, estimated like histogram_quantile() of Prometheus, which assumes
 * that the values of a bucket are distributed evenly. Null without values. A quantile above the last finite bound is
 * reported as that bound.
 */
export function histogramQuantile(buckets: readonly Bucket[], part: number): number | null {
  const sorted = buckets.toSorted((a, b) => a.upperBound - b.upperBound);
  const total = sorted.at(-1)?.count ?? 0;
  if (total === 0) return null;
  const rank = part * total;
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

/** The middle value. One disturbed slice hardly changes it. */
export function median(values: number[]): number {
  return quantile(values, 0.5);
}

/** Median, minimum and maximum. */
export interface ValueSummary {
  median: number;
  min: number;
  max: number;
}

/** Summarises the figures of all rounds. */
export function summariseValues(values: number[]): ValueSummary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** a/b for each round. Both are measured within seconds, so a slowdown of the machine that lasts longer cancels out. */
export function ratios(a: number[], b: number[]): number[] {
  return a.slice(0, b.length).map((value, round) => value / (b[round] as number));
}

/**
 * The noise, from the ratios of a subject to itself: the larger distance of their quartiles from 1. A ratio that is
 * closer to 1 shows no difference.
 */
export function noise(sameSubject: number[]): number {
  return Math.max(Math.abs(quantile(sameSubject, 0.25) - 1), Math.abs(quantile(sameSubject, 0.75) - 1));
}
