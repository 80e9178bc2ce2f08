/** The words of docs/costs.md that no measurement writes: what a phase pays for, and why a goal is missed. */
export const explanations: {
  phases: Array<{ phase: number; text: string }>;
  /** By the figure of the goal. */
  misses: Record<string, string>;
} = {
  phases: [
    {
      phase: 1,
      text: "Most of it is Node's HTTP server and undici's client, which every gateway in Node pays; the rest is Fastify's routing, one pass over the headers in each direction, and a timer per request.",
    },
    {
      phase: 2,
      text: 'One SHA-256 and one look-up in a Map, whatever the number of clients. It pays for itself with every request it refuses.',
    },
    {
      phase: 3,
      text: 'One round trip to Redis: a command written, a reply parsed, and a promise that waits in between. It is the only stage that asks somebody else.',
    },
    {
      phase: 4,
      text: 'One comparison with the clock before the call and one object around it. An open circuit gives back far more than closed ones take.',
    },
    {
      phase: 5,
      text: 'A handful of counters and histograms, two clock readings around the call, and three more fields for the service. The log line is not in it: it is measured beside.',
    },
  ],
  misses: {},
};
