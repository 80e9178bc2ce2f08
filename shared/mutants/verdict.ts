import type { Expectation, Mutant } from './mutant.ts';

/** What became of one sentence, or of a hook or file around sentences. */
export interface Finding {
  /** A file of shared/contract without its ending. */
  file: string;
  sentence: string;
  state: 'passed' | 'failed' | 'skipped';
  /** Why it failed, or ''. */
  reason: string;
}

/** What the contract says to a mutant. */
export interface Verdict {
  mutant: Mutant;
  /** `differs`: other sentences fail than those the patch names. `skipped`: none of those could be tried here. */
  outcome: 'killed' | 'survived' | 'differs' | 'skipped';
  /** The named sentences that failed, and how many times: once for each value they are tried with. */
  caught: Array<Expectation & { times: number }>;
  /** The named sentences that did not fail. */
  missed: Expectation[];
  /** What failed though the patch does not name it. */
  surplus: Finding[];
}

/** Compares what failed with what the patch names: exactly that must fail. */
export function judge(mutant: Mutant, findings: Finding[]): Verdict {
  const tries = mutant.fails
    .map((expectation) => ({ expectation, found: findings.filter((it) => isMeant(expectation, it)) }))
    .filter(({ found }) => found.length === 0 || found.some(({ state }) => state !== 'skipped'))
    .map(({ expectation, found }) => ({
      expectation,
      times: found.filter(({ state }) => state === 'failed').length,
    }));
  const failed = findings.filter(({ state }) => state === 'failed');
  const named = [...mutant.fails, ...mutant.may];
  const surplus = failed.filter((it) => !named.some((expectation) => isMeant(expectation, it)));
  const missed = tries.filter(({ times }) => times === 0).map(({ expectation }) => expectation);
  return {
    mutant,
    outcome: outcomeOf(tries.length, failed.length, surplus.length + missed.length),
    caught: tries
      .filter(({ times }) => times > 0)
      .map(({ expectation, times }) => ({ ...expectation, times })),
    missed,
    surplus,
  };
}

function outcomeOf(tried: number, failed: number, differences: number): Verdict['outcome'] {
  if (differences === 0) return tried > 0 ? 'killed' : 'skipped';
  return failed === 0 ? 'survived' : 'differs';
}

function isMeant({ file, sentence }: Expectation, finding: Finding): boolean {
  const pattern = sentence.replaceAll(/[^\w\s…]/g, '\\$&').replaceAll('…', '.*');
  return file === finding.file && new RegExp(`^${pattern}$`, 's').test(finding.sentence);
}
