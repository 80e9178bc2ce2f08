import type { Phase } from './phases.ts';

/** One suite of the contract held against one phase. */
export interface Pair {
  phase: Phase;
  /** The number of the phase whose promises the suite tests. */
  suite: number;
  /** The vitest project that runs it: 'phase-3/suite-1'. */
  project: string;
  /** A phase keeps the promises of every phase up to itself, and none of a later one. */
  mustPass: boolean;
}

/** Every suite against every phase, phase by phase. */
export function listPairs(phases: Phase[]): Pair[] {
  return phases.flatMap((phase) =>
    phases.map(({ number: suite }) => ({
      phase,
      suite,
      project: `phase-${phase.number}/suite-${suite}`,
      mustPass: suite <= phase.number,
    })),
  );
}
