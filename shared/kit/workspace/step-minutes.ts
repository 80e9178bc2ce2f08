import type { Step } from '../../repository/steps.ts';

// Estimates for a reader who knows the language and types the code, by suite and step.
const minutes: Record<number, number[]> = {
  1: [5, 15, 20, 30, 20, 20, 30, 15, 40, 60, 25, 25, 30, 90],
  2: [20, 10, 10, 20, 15],
  3: [45, 30, 30, 60, 45],
  4: [30, 20, 30, 20, 45],
  5: [20, 40, 45, 30, 30],
  6: [25, 20, 10, 90, 30],
  7: [40, 60, 60, 40, 20],
};

/** About how many minutes a step takes. */
export function minutesFor({ suite, number }: Step): number {
  return minutes[suite]?.[number - 1] ?? 30;
}
