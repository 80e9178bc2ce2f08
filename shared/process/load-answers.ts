/** The result of a load. `bytes` counts what the client received. */
export interface Answers {
  requests: number;
  seconds: number;
  bytes: number;
  /** Failed connections and requests without a response. */
  errors: number;
  non2xx: number;
  p50Ms: number;
  p99Ms: number;
  p999Ms: number;
}
