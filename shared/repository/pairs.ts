import type { Phase } from './phases.ts';

/** One suite of the contract, to be run against one phase. */
export interface Pair {
  phase: Phase;
  /** The number of the phase that the suite belongs to. */
  suite: number;
  /** The vitest project that runs it: 'phase-3/suite-1'. */
  project: string;
  /** True for the suites up to the own one of the phase. The suite of a later phase must fail; of phase 0 nothing is due. */
  mustPass: boolean;
}

/** Every suite against every phase, row by row. `suites` and `nameOf` serve rows such as the workspace. */
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

/** All pairs of the ladder: suite 1 against phase 0, to count what it keeps, then every suite against every phase. */
export function listLadderPairs(folders: Phase[]): Pair[] {
  const zero = folders.filter(({ number }) => number === 0);
  const phases = folders.filter(({ number }) => number > 0);
  return [...listPairs(zero, phases.slice(0, 1)), ...listPairs(phases)];
}

/** The pairs that change most often: every suite against the phase that adds it, and against the newest phase. */
export function pickOwnAndNewest(pairs: Pair[]): Pair[] {
  const newest = Math.max(...pairs.map(({ phase }) => phase.number));
  return pairs.filter(({ phase, suite }) => phase.number === suite || phase.number === newest);
}

function nameRow({ number }: Phase): string {
  return `phase-${number}`;
}
