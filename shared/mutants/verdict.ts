import escapeStringRegexp from 'escape-string-regexp';
import type { Expectation, Mutant } from './mutant.ts';

/** The result of one test, or of a hook or file around tests. */
export interface SentenceResult {
  /** A file of shared/contract without its ending. */
  file: string;
  test: string;
  state: 'passed' | 'failed' | 'skipped';
  /** Why it failed; '' if it did not. */
  reason: string;
}

/** The result of running the contract against a mutant. */
export interface MutantVerdict {
  mutant: Mutant;
  /** `differs`: other tests fail than those that the patch names. `skipped`: none of those could run here. */
  outcome: 'killed' | 'survived' | 'differs' | 'skipped';
  /** The named tests that failed, and how many times: once for each value that they run with. */
  caught: Array<Expectation & { times: number }>;
  /** The named tests that did not fail. */
  missed: Expectation[];
  /** What failed although the patch does not name it. */
  unexpected: SentenceResult[];
}

/** Compares the failed tests with those that the patch names. Exactly these must fail. */
export function judgeMutant(mutant: Mutant, findings: SentenceResult[]): MutantVerdict {
  const tries = mutant.fails
    .map((expectation) => ({ expectation, found: findings.filter((it) => isMeant(expectation, it)) }))
    .filter(({ found }) => found.length === 0 || found.some(({ state }) => state !== 'skipped'))
    .map(({ expectation, found }) => ({
      expectation,
      times: found.filter(({ state }) => state === 'failed').length,
    }));
  const failed = findings.filter(({ state }) => state === 'failed');
  const named = [...mutant.fails, ...mutant.may];
  const unexpected = failed.filter((it) => !named.some((expectation) => isMeant(expectation, it)));
  const missed = tries.filter(({ times }) => times === 0).map(({ expectation }) => expectation);
  return {
    mutant,
    outcome: outcomeOf(tries.length, failed.length, unexpected.length + missed.length),
    caught: tries
      .filter(({ times }) => times > 0)
      .map(({ expectation, times }) => ({ ...expectation, times })),
    missed,
    unexpected,
  };
}

function outcomeOf(tried: number, failed: number, differences: number): MutantVerdict['outcome'] {
  if (differences === 0) return tried > 0 ? 'killed' : 'skipped';
  return failed === 0 ? 'survived' : 'differs';
}

function isMeant({ file, test }: Expectation, finding: SentenceResult): boolean {
  const pattern = test.split('…').map(escapeStringRegexp).join('.*');
  return file === finding.file && new RegExp(`^${pattern}$`, 's').test(finding.test);
}
