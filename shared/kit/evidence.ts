/** One request on a connection that a test made to a gateway, and what came back on it. */
export interface Exchange {
  port: number;
  /** The first bytes, as latin1. */
  sent: string;
  sentBytes: number;
  received: string;
  receivedBytes: number;
  /** How the connection stood at the end of the test. A word in capitals is an error code of the system. */
  end: 'open' | 'closed by the gateway' | 'closed by the test' | (string & {});
}

/** A gateway process as a test saw it. */
export interface ObservedGateway {
  command: string[];
  env: Record<string, string>;
  /** The text of its config file. */
  config: string;
  /** Whether the test itself started it; else it was there for the whole file. */
  ownStart: boolean;
  /** Undefined while it runs. */
  exit: { code: number | null; signal: string | null } | undefined;
  /** It had ended before the test began: whatever the test asked, nobody could answer. */
  deadBefore: boolean;
  /** The last of what it said during the test: on stderr, and in its log where that is an error or no JSON. */
  complaints: string;
}

/** What went over the wire during a test, and what the gateways did. */
export interface Evidence {
  /** In the order of their beginning; the oldest may be missing. */
  exchanges: Exchange[];
  gateways: ObservedGateway[];
}

declare module 'vitest' {
  interface TaskMeta {
    /** Only of a test that failed under `npm run verify`. */
    evidence?: Evidence;
  }
}
