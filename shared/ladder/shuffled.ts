import { TestRunner } from 'vitest';

/**
 * Shuffles the tests and the describe blocks of each file, for the pairs of the ladder that must pass. vitest's own
 * `sequence.shuffle` holds for all projects, also for those that are not of the contract.
 */
export default class Shuffled extends TestRunner {
  constructor(config: ConstructorParameters<typeof TestRunner>[0]) {
    super(config);
    config.sequence.shuffle = true;
  }
}
