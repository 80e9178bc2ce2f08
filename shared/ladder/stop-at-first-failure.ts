import { type RunnerTestCase, type RunnerTestSuite, TestRunner } from 'vitest';

/**
 * Ends a test file at its first failure, for the pairs of the ladder that must fail. vitest's `bail` would end the whole
 * run, and it sometimes loses the result of the failed test.
 */
export default class StopAtFirstFailure extends TestRunner {
  override onAfterRunTask(test: RunnerTestCase): void {
    super.onAfterRunTask(test);
    if (test.result?.state === 'fail') this.cancel('test-failure');
  }

  override async onAfterRunSuite(suite: RunnerTestSuite): Promise<void> {
    await super.onAfterRunSuite(suite);
    if (suite.result?.state === 'fail') this.cancel('test-failure');
  }
}
