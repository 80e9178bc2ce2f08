import { summariseValues } from '../metrics/statistics.ts';
import type { BenchLoad } from './load.ts';
import { type Measured, measure, type Plan } from './measure.ts';
import {
  type BenchSubject,
  bareNode,
  direct,
  fastGateway,
  httpProxyPlugin,
  limiter,
  peers,
  phase,
} from './subjects.ts';
import type { BenchSurroundings } from './surroundings.ts';

/** Subjects that are measured in turn under the same load. */
export interface Part {
  label: string;
  subjects: BenchSubject[];
  load?: Partial<BenchLoad>;
}

/** One kind of measurement. `extra` names the additional columns of its table. */
export interface Scenario {
  name: string;
  title: string;
  /** What was done, in a sentence or two. */
  note: string;
  extra?: Column[];
  /** Part of --quick. */
  quick?: true;
  /** Runs only when --only or --soak names it, because it takes ten minutes. */
  onDemand?: true;
  rounds?: number;
  /** How often all subjects are started again, for small differences. Default 1. */
  generations?: number;
  parts(withPeers: boolean, trial: Trial): Part[] | Promise<Part[]>;
}

export type Column = 'MB/s' | 'start ms' | 'idle MB' | 'Redis µs';

/** A short measurement, for a scenario that needs the maximum rate of its subjects first. */
export type Trial = (subjects: BenchSubject[], load?: Partial<BenchLoad>) => Promise<Measured[]>;

const phases = [1, 2, 3, 4, 5, 6];

// The second measurement of phase 1. The ratio between the two shows the noise.
export const sameAgain = 'phase 1 again';

const bytesPerMb = 1024 * 1024;

/** Phases 1 and 4, with the usual references. */
const few = (withPeers: boolean): BenchSubject[] => [
  direct,
  phase(1),
  phase(4),
  ...(withPeers ? [bareNode] : []),
];

/** Every scenario, in the order of the report. */
export const scenarios: Scenario[] = [
  {
    name: 'forward',
    generations: 3,
    title: 'Forwarding a small response',
    note: '200-byte responses over 64 keep-alive connections. Every phase runs with all its stages and LOG_LEVEL=silent.',
    extra: ['Redis µs'],
    quick: true,
    parts: (withPeers) => [
      {
        label: '',
        subjects: [
          direct,
          ...phases.map((number) => phase(number)),
          phase(1, { name: sameAgain }),
          ...(withPeers ? peers : []),
        ],
      },
    ],
  },
  {
    name: 'access-log',
    generations: 3,
    title: 'The access log',
    note: 'The same requests, with one log line per request written to a file, and without. fast-gateway writes no log.',
    parts: (withPeers) => [
      {
        label: '',
        subjects: [
          ...phases.flatMap((number) => [
            phase(number),
            phase(number, { name: `phase ${number} with log`, accessLog: true }),
          ]),
          ...(withPeers ? [fastGateway] : []),
        ],
      },
    ],
  },
  {
    name: 'small-uploads',
    generations: 3,
    title: 'Uploading 1 KB',
    note: 'POST requests with a body of 1 KB over 64 keep-alive connections. The service is Node, and reads the body.',
    parts: (withPeers) => [
      {
        label: '',
        load: { path: '/node/upload', method: 'POST', bodyBytes: 1024 },
        subjects: [
          direct,
          phase(1),
          phase(4),
          phase(6),
          ...(withPeers ? [bareNode, httpProxyPlugin, fastGateway] : []),
        ],
      },
    ],
  },
  {
    name: 'refusals',
    generations: 3,
    title: 'Refusing a request',
    note: 'Phase 4 forwards a request, or refuses it because of an unknown key, a used-up limit or an open circuit.',
    quick: true,
    parts: () => [
      {
        label: '',
        subjects: [
          phase(4, { name: 'forwarded' }),
          phase(4, { name: '401 unknown key', status: 401, key: 'wrong' }),
          phase(4, { name: '429 rate limited', status: 429, key: null, load: { path: '/open/200' } }),
          phase(4, { name: '503 circuit open', status: 503, load: { path: '/dead/200' } }),
        ],
      },
    ],
  },
  {
    name: 'limiters',
    generations: 3,
    title: 'Three rate limiters compared',
    note: 'The gateway of phase 3 with its own limiter, with two well-known limiters, and with none. All of them use the same Redis.',
    extra: ['Redis µs'],
    parts: (withPeers) => [
      {
        label: '',
        subjects: withPeers
          ? [
              limiter('no limiter', 'none'),
              limiter('phase 3', 'phase'),
              limiter('@fastify/rate-limit', 'fastify'),
              limiter('rate-limiter-flexible', 'flexible'),
            ]
          : [],
      },
    ],
  },
  {
    name: 'bodies',
    title: 'Request and response bodies',
    note: 'Downloads from the service and uploads to it. Bodies of 10 MB use 4 connections, the others 64.',
    extra: ['MB/s'],
    parts: (withPeers) =>
      [1024, 64 * 1024, 10 * bytesPerMb].flatMap((bytes) => {
        const connections = bytes === 10 * bytesPerMb ? 4 : 64;
        const size = bytes >= bytesPerMb ? `${bytes / bytesPerMb} MB` : `${bytes / 1024} KB`;
        const up = { path: '/node/upload', method: 'POST' as const, bodyBytes: bytes, connections };
        return [
          { label: `${size} down`, load: { path: `/fast/${bytes}`, connections }, subjects: few(withPeers) },
          { label: `${size} up`, load: up, subjects: few(withPeers) },
        ];
      }),
  },
  {
    name: 'churn',
    title: 'A connection per request',
    note: 'Clients without keep-alive: 64 at a time, each request on a connection of its own.',
    parts: (withPeers) => [
      { label: '', load: { headers: { connection: 'close' } }, subjects: few(withPeers) },
    ],
  },
  {
    name: 'connections',
    title: '1, 64 and 1,024 connections',
    note: 'The request of the first scenario over 1, 64 and 1,024 connections.',
    parts: (withPeers) =>
      [1, 64, 1024].map((connections) => ({
        label: connections === 1 ? '1 connection' : `${connections.toLocaleString('en')} connections`,
        load: { connections },
        subjects: few(withPeers),
      })),
  },
  {
    name: 'slow',
    title: 'A slow service',
    note: 'The service takes 500 ms, and 5,000 requests are in flight all the time. A slice lasts 4 s and begins with 5,000 new connections on each side of the gateway. Every figure includes their set-up. The share of the set-up is smaller for a gateway that finishes more requests in that time.',
    rounds: 3,
    parts: (withPeers) => [
      {
        label: '',
        load: { path: '/node/slow', connections: 5000, seconds: 4 },
        subjects: few(withPeers),
      },
    ],
  },
  {
    name: 'routes',
    generations: 3,
    title: '2, 100 and 10,000 routes',
    note: 'Phase 1 with 2, 100 and 10,000 routes in its config.',
    extra: ['start ms', 'idle MB'],
    parts: () => [
      {
        label: '',
        subjects: [2, 100, 10_000].map((routes) => phase(1, { name: `${routes} routes`, routes })),
      },
    ],
  },
  {
    name: 'clients',
    title: '10 and 100,000 clients',
    note: 'Phase 2 with more clients in its config, one key each.',
    extra: ['start ms', 'idle MB'],
    parts: () => [
      {
        label: '',
        subjects: [10, 100_000].map((clients) => phase(2, { name: `${clients} clients`, clients })),
      },
    ],
  },
  {
    name: 'instances',
    title: 'One to four instances on one Redis',
    note: 'Phase 3, with the 64 connections distributed over its instances. All instances run on one core.',
    extra: ['Redis µs'],
    parts: () => [
      {
        label: '',
        subjects: [1, 2, 3, 4].map((instances) => phase(3, { name: `${instances} × phase 3`, instances })),
      },
    ],
  },
  {
    name: 'offered-load',
    title: 'Latency at the same offered load',
    note: 'Requests are sent at a fixed rate, whether or not earlier ones were answered. The rate is 70 % of what the slower gateway can handle. Latency counts from the moment a request is due. The first second, in which the load generator warms up, is not counted.',
    async parts(withPeers, trial) {
      if (!withPeers) return [];
      const subjects = [phase(4), fastGateway];
      // A rate that no subject reaches. The generator is the same as below, because its own maximum counts too.
      const most = (await trial(subjects, { rate: 20_000 })).map(({ slices }) =>
        summariseValues(slices.map(({ requests, seconds }) => requests / seconds)),
      );
      const rate = Math.round(0.7 * Math.min(...most.map(({ median }) => median)));
      return [{ label: `${rate} requests/s`, load: { rate, seconds: 3 }, subjects }];
    },
  },
  {
    name: 'soak',
    title: 'Ten minutes at full load',
    note: 'Phase 4 under full load without a pause, in slices of 5 s. Its resident memory is read at the end of each slice.',
    onDemand: true,
    rounds: 122,
    parts: () => [{ label: '', load: { seconds: 5 }, subjects: [phase(4)] }],
  },
];

/** What one scenario found. */
export interface Found {
  name: string;
  parts: Array<{ label: string; measured: Measured[] }>;
}

/** Runs one scenario. */
export async function runScenario(
  scenario: Scenario,
  { rounds, warmUpSeconds, generations }: Omit<Plan, 'load'>,
  withPeers: boolean,
  around: BenchSurroundings,
  say: (what: string) => void,
  leftOut: (name: string, why: string) => void,
): Promise<Found> {
  const usual: BenchLoad = {
    path: '/fast/200',
    method: 'GET',
    headers: {},
    bodyBytes: 0,
    connections: 64,
    seconds: 1,
  };
  const trial: Trial = (subjects, load) => {
    const plan = { rounds: 3, warmUpSeconds, generations: 1, load: { ...usual, ...load } };
    return measure(subjects, plan, around, say, leftOut);
  };
  const found: Found = { name: scenario.name, parts: [] };
  for (const { label, subjects, load } of await scenario.parts(withPeers, trial)) {
    const plan = {
      rounds: scenario.rounds ?? rounds,
      warmUpSeconds,
      generations: Math.min(scenario.generations ?? 1, generations),
      load: { ...usual, ...load },
    };
    const sayPart = (what: string) => say(label ? `${label}: ${what}` : what);
    found.parts.push({ label, measured: await measure(subjects, plan, around, sayPart, leftOut) });
  }
  return found;
}
