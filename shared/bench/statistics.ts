/** The value below which the given part (0 to 1) of the values lies, interpolated. NaN of nothing. */
export function quantile(values: number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * part;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}

/** The middle value: one slice that the machine spoiled does not move it. */
export function median(values: number[]): number {
  return quantile(values, 0.5);
}

/** Median and extremes. */
export interface Summary {
  median: number;
  min: number;
  max: number;
}

/** Summarises the figures of all rounds. */
export function summarise(values: number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** a/b round by round. Both were measured seconds apart, so what slows the machine down for longer cancels out. */
export function ratios(a: number[], b: number[]): number[] {
  return a.slice(0, b.length).map((value, round) => value / (b[round] as number));
}

/**
 * How far two runs of one subject differ: the larger distance from 1 of the quartiles of their ratios. A ratio nearer
 * to 1 than this says nothing.
 */
export function noise(sameSubject: number[]): number {
  return Math.max(Math.abs(quantile(sameSubject, 0.25) - 1), Math.abs(quantile(sameSubject, 0.75) - 1));
}
