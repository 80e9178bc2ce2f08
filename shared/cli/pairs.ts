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

/** Every suite against every phase, phase by phase; of a row of one's own, the name and the level take their place. */
export function listPairs(phases: Phase[], suites = phases, nameOf = nameRow): Pair[] {
  return phases.flatMap((phase) =>
    suites.map(({ number: suite }) => ({
      phase,
      suite,
      project: `${nameOf(phase)}/suite-${suite}`,
      mustPass: suite <= phase.number,
    })),
  );
}

function nameRow({ number }: Phase): string {
  return `phase-${number}`;
}
