/** Lines of the reference: the line in `file` that begins with `from`, and the block that it opens. */
export interface CodeHint {
  file: string;
  from: string;
  /** Number of lines to show when the line opens no block. */
  lines?: number;
}

/** The hints for tests of a suite that fail for the same cause. */
export interface HintGroup {
  /** Parts of test names. A test belongs to the first group with a part of its name. */
  tests: string[];
  /** The sentence of the contract that the tests check, word for word. */
  contract: string;
  /** The document with this sentence, when it is not docs/contract.md. */
  document?: string;
  /** The chapter to read, with its anchor. */
  read: string;
  /** Hint 1: what to think of. Hint 2: what to do. */
  hints: [general: string, concrete: string];
  /** The same for a gateway without Fastify, where the others are about what a framework does. */
  hintsWithoutFastify?: [general: string, concrete: string];
  /** Hint 3. */
  code: CodeHint;
  /** Set in the one group of a suite that is shown when the gateway does not start with its config. */
  whenItDoesNotStart?: true;
}
