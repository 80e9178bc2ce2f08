/** The words of docs/costs.md that no measurement writes: what a phase pays for, why a goal is missed, what was tried. */
export const explanations: {
  phases: Array<{ phase: number; text: string }>;
  /** By the figure of the goal. */
  misses: Record<string, string>;
  /** Each measured side by side with what it was to replace, by CPU time per request. */
  tried: Array<{ what: string; effect: string; kept: boolean }>;
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
      text: 'One round trip to Redis: a command written, a reply parsed, and a promise that waits in between. Beside forward it is the only stage that waits for another process.',
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
  misses: {
    'phase 1 / @fastify/http-proxy':
      'Bare node:http with undici, which keeps no rule at all, is hardly below the goal itself. The profile (node --cpu-prof) has 36 % of phase 1 in the two socket writes, some 45 % in the HTTP code of Node and undici, and 6 % in the files of the phase and Fastify together.',
    'phase 1 / fast-gateway':
      'The same floor: two socket writes and two HTTP parsers, which both gateways pay.',
    'phase 1 / nginx':
      'nginx parses and writes in C, with one process and no garbage. Bare node:http with undici misses the goal too.',
    'phase 5 / phase 4':
      'At the edge: the difference is within the noise. The profile has the three fields for the service and the one for the client first (their validation and their bytes), then the clock readings and the record of the request.',
    'phase 3 with its access log / without':
      'A line costs some 15 to 25 µs in the midst of other work, though 5 in a loop of its own: its code and its data are cold each time. Batches and JSON.stringify were tried, see below.',
    'phase 4 with its access log / without': 'As for phase 3.',
    'phase 2 with its access log / without': 'As for phase 3.',
    'phase 5 with its access log / without': 'As for phase 3, with five more fields.',
    'phase 1 with its access log / without': 'As for phase 3; phase 1 does the least beside it.',
    'p99 of phase 4 / of fast-gateway, same load':
      'Phase 4 asks Redis for every request and fast-gateway asks nobody: two more wake-ups stand between a request and its answer, and on one core each waits its turn.',
  },
  tried: [
    {
      what: 'A tree of path segments behind one Fastify route, instead of @fastify/http-proxy with two routes per prefix',
      effect: '0.82 of phase 1',
      kept: true,
    },
    {
      what: 'The counts of one turn of the event loop in one write to Redis, with one budget that begins with it',
      effect: '0.85 of phase 3',
      kept: true,
    },
    {
      what: 'Histograms that keep their series, request ids from a counter, one UUID per new trace',
      effect: 'phase 5 / phase 4 falls from 1.31 to 1.12',
      kept: true,
    },
    {
      what: "One timer per service for all its calls, in a Map by deadline, instead of Node's timer per call",
      effect: '1.3 of phase 1: the Map costs more than the timers',
      kept: false,
    },
    {
      what: 'Head and small body in one string and one write',
      effect: '1.01 of phase 1: noise',
      kept: false,
    },
    {
      what: 'No look for a body before the head is flushed',
      effect: '1.01 of phase 1: noise, and event streams would wait',
      kept: false,
    },
    {
      what: 'The access log written in batches of 4 KiB',
      effect: '1.00 of phase 1 with its log: under load the lines gather by themselves',
      kept: false,
    },
    {
      what: 'The line of the access log by JSON.stringify instead of pino',
      effect: '0.97 of phase 5 with its log: too little for a second way to log',
      kept: false,
    },
  ],
};
