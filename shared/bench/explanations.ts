// Why the access log costs more than its goal.
const access =
  'A line costs more between other work than in a loop of its own, where it takes 5 µs: between requests, its code and data drop out of the CPU caches. Batches and JSON.stringify were tried, see below.';

/** The text of docs/costs.md that is not measured: the costs of each phase, the reasons for missed goals, what was tried. */
export const explanations: {
  phases: Array<{ phase: number; text: string }>;
  /** The reasons for missed goals. The key is the `figure` of the goal. */
  misses: Record<string, string>;
  /** Changes that were measured against the code they would replace, by CPU time per request. */
  tried: Array<{ what: string; effect: string; kept: boolean }>;
} = {
  phases: [
    {
      phase: 1,
      text: "Most of the time is spent in Node's HTTP server and in undici's HTTP client. Every gateway in Node has this cost. The rest is Fastify's routing, one pass over the headers in each direction, and one timer per request.",
    },
    {
      phase: 2,
      text: 'One SHA-256 hash and one Map lookup, independent of the number of clients. A request that it refuses costs less than one that is forwarded.',
    },
    {
      phase: 3,
      text: 'One round trip to Redis: the gateway writes a command, waits on a promise and parses the reply. Apart from forward, it is the only stage that waits for another process.',
    },
    {
      phase: 4,
      text: 'One comparison with the clock before the call and one wrapper object per call. An open circuit saves far more CPU time than a closed one costs.',
    },
    {
      phase: 5,
      text: 'A few counters and histograms, and a request id, which is one more header field in each direction. The log line is not included: it is measured separately.',
    },
    {
      phase: 6,
      text: 'A traceparent field for the service: the one of the client after a check, or a new one from a UUID. Server-Timing is off here.',
    },
  ],
  misses: {
    'phase 1 / @fastify/http-proxy':
      'Bare node:http with undici follows none of the rules of a gateway, and misses the goal too. In the profile of phase 1 (node --cpu-prof), the two socket writes take 36 %, the HTTP code of Node and undici about 45 %, and the files of the phase and Fastify together 6 %.',
    'phase 1 / fast-gateway':
      'Bare node:http with undici is itself only just below the goal: every gateway needs two socket writes and two HTTP parsers per request.',
    'phase 1 / http-proxy': 'Bare node:http with undici is itself only just below the goal.',
    'phase 1 / nginx':
      'nginx parses and writes in C, in one process and without garbage collection. Bare node:http with undici misses the goal too.',
    'phase 3 / phase 2':
      'A round trip to Redis costs about 14 µs, and the goal allows about 13: a third of what phase 2 costs on this machine.',
    'phase 6 / phase 4':
      'The value is close to the limit, and the difference is within the noise. In the profile, validating and writing the header fields for the service and the one for the client cost most.',
    'phase 3 with its access log / without': access,
    'phase 4 with its access log / without': access,
    'phase 2 with its access log / without': access,
    'phase 5 with its access log / without': `${access} The line has one more field, the request id.`,
    'phase 6 with its access log / without': `${access} The line has two more fields, the request id and the trace id.`,
    'phase 1 with its access log / without': `${access} Phase 1 does the least other work, so the line has the largest share.`,
    'p99 of phase 4 / of fast-gateway, same load':
      'Phase 4 calls Redis for every request, and fast-gateway does not. This adds two wake-ups between a request and its response, and on one core each of them waits until the core is free.',
  },
  tried: [
    {
      what: 'A tree of path segments behind one Fastify route, instead of @fastify/http-proxy with two routes per prefix',
      effect: '0.82 of phase 1',
      kept: true,
    },
    {
      what: 'All counts of one event loop iteration in one write to Redis, with one timer for all of them',
      effect: '0.85 of phase 3',
      kept: true,
    },
    {
      what: 'Histograms that keep a reference to each series, request ids from a counter, one UUID per new trace',
      effect: 'phases 5 and 6, one phase then, / phase 4: falls from 1.31 to 1.12',
      kept: true,
    },
    {
      what: "One timer per service for all its calls, in a Map by deadline, instead of Node's timer per call",
      effect: '1.3 of phase 1: the Map costs more than the timers',
      kept: false,
    },
    {
      what: 'Header and small body of a response in one string and one write',
      effect: '1.01 of phase 1: noise',
      kept: false,
    },
    {
      what: 'The header always sent together with the first chunk of the body',
      effect: '1.01 of phase 1: noise, and the header of an event stream would wait for the first event',
      kept: false,
    },
    {
      what: 'The access log written in batches of 4 KiB',
      effect: '1.00 of phase 1 with its log: under load, several lines are written at once anyway',
      kept: false,
    },
    {
      what: 'Each line of the access log written with JSON.stringify instead of pino',
      effect: '0.97 of phases 5 and 6, one phase then, with the log: too small a gain for a second logger',
      kept: false,
    },
  ],
};
