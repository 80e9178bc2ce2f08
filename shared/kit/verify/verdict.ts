import type { TestModule } from 'vitest/node';
import {
  type Breakdown,
  breakdownsOf,
  byFile,
  fileOf,
  type TestResult,
  testsOf,
} from '../../process/test-results.ts';

/** The result of a run. */
export interface Verdict {
  /** In the order of the suites, their files and the tests in them. */
  tests: TestResult[];
  breakdowns: Breakdown[];
  /** True when the run was ended by its time limit. */
  timeIsUp: boolean;
  /** True when the run was ended because the failed tests of its open step had waited too long. */
  hangs: boolean;
}

/** The results of these files so far, for the tests whose names match `pattern`. */
export function readVerdict(
  modules: TestModule[],
  pattern: string | undefined,
): Pick<Verdict, 'tests' | 'breakdowns'> {
  const inOrder = modules.toSorted((a, b) => byFile(fileOf(a.moduleId), fileOf(b.moduleId)));
  return {
    tests: inOrder.flatMap((module) => testsOf(module, pattern)),
    breakdowns: inOrder.flatMap(breakdownsOf),
  };
}
