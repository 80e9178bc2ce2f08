import type { Load } from './load.ts';
import { type Measured, measure, type Plan } from './measure.ts';
import { summarise } from './statistics.ts';
import { bareNode, direct, fastGateway, limiter, peers, phase, type Subject } from './subjects.ts';
import type { Surroundings } from './surroundings.ts';

/** Subjects under one load, measured side by side. */
export interface Part {
  label: string;
  subjects: Subject[];
  load?: Partial<Load>;
}

/** A question to the phases. `extra` are the columns that matter here beside the usual ones. */
export interface Scenario {
  name: string;
  title: string;
  /** What was done, in a sentence or two. */
  note: string;
  extra?: Column[];
  /** Part of --quick. */
  quick?: true;
  /** Only when it is named, for it takes ten minutes. */
  onDemand?: true;
  rounds?: number;
  /** How often all subjects are started anew, where differences are small; 1 unless said. */
  generations?: number;
  parts(withPeers: boolean, trial: Trial): Part[] | Promise<Part[]>;
}

export type Column = 'MB/s' | 'start ms' | 'idle MB' | 'Redis µs';

/** Measures two subjects shortly, for a scenario that must know what they can bear. */
export type Trial = (subjects: Subject[], load?: Partial<Load>) => Promise<Measured[]>;

const PHASES = [1, 2, 3, 4, 5];

// The name tells where a run of it again belongs.
export const SAME_AGAIN = 'phase 1 again';

const MB = 1024 * 1024;

/** Phase 1 and 4 beside what they are compared with most. */
const few = (withPeers: boolean): Subject[] => [direct, phase(1), phase(4), ...(withPeers ? [bareNode] : [])];

/** Every scenario, in the order of the report. */
export const scenarios: Scenario[] = [
  {
    name: 'forward',
    generations: 3,
    title: 'Forwarding a small answer',
    note: '200-byte answers over 64 kept connections; every phase with all it has, and LOG_LEVEL=silent.',
    extra: ['Redis µs'],
    quick: true,
    parts: (withPeers) => [
      {
        label: '',
        subjects: [
          direct,
          ...PHASES.map((number) => phase(number)),
          phase(1, { name: SAME_AGAIN }),
          ...(withPeers ? peers : []),
        ],
      },
    ],
  },
  {
    name: 'access-log',
    generations: 3,
    title: 'The access log',
    note: 'The same, with one line per request going to a file, and without.',
    parts: () => [
      {
        label: '',
        subjects: PHASES.flatMap((number) => [
          phase(number),
          phase(number, { name: `phase ${number} with log`, accessLog: true }),
        ]),
      },
    ],
  },
  {
    name: 'refusals',
    generations: 3,
    title: 'Saying no',
    note: 'Phase 4 forwards, or refuses: an unknown key, a limit used up, an open circuit.',
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
    title: 'Three limiters in one place',
    note: 'The gateway of phase 3 with its own limiter, with two well-known ones, and with none, on the same Redis.',
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
    title: 'Bodies, both ways',
    note: 'Downloads from the service and uploads to it; 10 MB over 4 connections, the others over 64.',
    extra: ['MB/s'],
    parts: (withPeers) =>
      [1024, 64 * 1024, 10 * MB].flatMap((bytes) => {
        const connections = bytes === 10 * MB ? 4 : 64;
        const size = bytes >= MB ? `${bytes / MB} MB` : `${bytes / 1024} KB`;
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
    note: 'The same request from one client, some, and many.',
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
    note: 'The service takes 500 ms; 5,000 requests are in flight all the time. A slice lasts 4 s and begins with 5,000 new connections on either side of the gateway, so their set-up is in every figure, and weighs less on a gateway that finishes more requests in that time.',
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
    note: 'Phase 1 with more and more routes in its config.',
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
    note: 'Phase 3, the 64 connections shared out among its instances. All share the core of the gateways.',
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
    note: 'Requests leave when they are due, at 70 % of what the slower one can do; latency counts from then, after a first second in which the generator warms up.',
    async parts(withPeers, trial) {
      if (!withPeers) return [];
      const subjects = [phase(4), fastGateway];
      // More than anybody can answer, from the same generator: it has a limit of its own.
      const most = (await trial(subjects, { rate: 20_000 })).map(({ slices }) =>
        summarise(slices.map(({ requests, seconds }) => requests / seconds)),
      );
      const rate = Math.round(0.7 * Math.min(...most.map(({ median }) => median)));
      return [{ label: `${rate} requests/s`, load: { rate, seconds: 3 }, subjects }];
    },
  },
  {
    name: 'soak',
    title: 'Ten minutes at full load',
    note: 'Phase 4 without a pause, in slices of 5 s; its resident memory at the end of each.',
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
  around: Surroundings,
  say: (what: string) => void,
  leftOut: (name: string, why: string) => void,
): Promise<Found> {
  const usual: Load = {
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
