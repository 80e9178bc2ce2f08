/** The message of an assertion about calls to services. What a test says about an answer is shown before it. */
export const servicesSaw = 'what the services saw';

/** One request that a test sent to a gateway, and the bytes it received. */
export interface Exchange {
  port: number;
  /** The first bytes, as latin1. */
  sent: string;
  sentBytes: number;
  received: string;
  receivedBytes: number;
  /** State of the connection at the end of the test. A word in capitals is a system error code. */
  end: 'open' | 'closed by the gateway' | 'closed by the test' | (string & {});
}

/** A gateway process during a test. */
export interface ObservedGateway {
  command: string[];
  env: Record<string, string>;
  /** The text of its config file. */
  config: string;
  /** True when the test started it; false when all tests of the file share it. */
  ownStart: boolean;
  /** Undefined while it runs. */
  exit: { code: number | null; signal: string | null } | undefined;
  /** True when it had failed before the test began, so that the test could get no response. */
  deadBefore: boolean;
  /** The end of its output during the test: stderr, and the lines of its log that are errors or not JSON. */
  complaints: string;
}

/** The requests of a test, and the state of its gateways. */
export interface Evidence {
  /** In the order in which they began; the oldest may be missing. */
  exchanges: Exchange[];
  gateways: ObservedGateway[];
}

declare module 'vitest' {
  interface TaskMeta {
    /** Set only for a test that failed under `npm run verify`. */
    evidence?: Evidence;
  }
}
