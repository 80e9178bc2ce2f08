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
  /** True when it ended by itself after it was ready, with whatever exit code, or failed when it was asked to stop. */
  died: boolean;
  /** True when a test has sent it a signal. */
  asked: boolean;
  /** True when it had died before the test began, so that the test could get no response. */
  deadBefore: boolean;
  /** The beginning and the end of its output during the test: stderr, and what its log has of errors and of no JSON. */
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
