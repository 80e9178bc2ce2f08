import { median, noise } from '../metrics/statistics.ts';
import { compare, cpuOf, figures, find, type Results } from './results.ts';
import { sameAgain } from './scenarios.ts';

/** A goal: a ratio that must not exceed the limit. */
interface Goal {
  figure: string;
  /** A number, or a function of the noise of the run. */
  limit: number | ((noise: number) => number);
  /** The scenario it is read from. */
  scenario: string;
  value(results: Results): number[] | undefined;
}

/** A goal and its measured value. `value` and `met` are null when it was not measured. */
export interface Judged {
  figure: string;
  scenario: string;
  limit: number;
  value: number | null;
  met: boolean | null;
}

const forward = (name: string, reference: string) => (results: Results) =>
  compare(results, 'forward', [name, reference]);
const refusal = (name: string) => (results: Results) => compare(results, 'refusals', [name, 'forwarded']);

const goals: Goal[] = [
  ...(
    [
      ['phase 1', '@fastify/http-proxy', 0.53],
      ['phase 1', 'fast-gateway', 0.55],
      ['phase 1', 'http-proxy', 0.55],
      ['phase 1', 'bare node:http + undici', 1.2],
      ['phase 1', 'Caddy', 1],
      ['phase 1', 'nginx', 3.2],
      ['phase 2', 'phase 1', 1.08],
      ['phase 3', 'phase 2', 1.35],
      ['phase 4', 'phase 3', (spread: number) => 1 + spread],
      ['phase 4', 'fast-gateway', 1],
      ['phase 6', 'phase 4', 1.15],
    ] as const
  ).map(([name, reference, limit]) => ({
    figure: `${name} / ${reference}`,
    limit,
    scenario: 'forward',
    value: forward(name, reference),
  })),
  ...(
    [
      ['bare node:http + undici', 1.3],
      ['fast-gateway', 0.6],
    ] as const
  ).map(([reference, limit]) => ({
    figure: `phase 1 / ${reference}, POST of 1 KB`,
    limit,
    scenario: 'small-uploads',
    value: (results: Results) => compare(results, 'small-uploads', ['phase 1', reference]),
  })),
  {
    figure: 'phase 6 with its access log / fast-gateway without',
    limit: 1.2,
    scenario: 'access-log',
    value: (results) => compare(results, 'access-log', ['phase 6 with log', 'fast-gateway']),
  },
  ...[1, 2, 3, 4, 5, 6].map((number) => ({
    figure: `phase ${number} with its access log / without`,
    limit: 1.25,
    scenario: 'access-log',
    value: (results: Results) =>
      compare(results, 'access-log', [`phase ${number} with log`, `phase ${number}`]),
  })),
  ...['@fastify/rate-limit', 'rate-limiter-flexible'].map((name) => ({
    figure: `limiter of phase 3 / ${name}, added cost`,
    limit: 0.8,
    scenario: 'limiters',
    value: (results: Results) => addedCost(results, name),
  })),
  { figure: '401 / forwarded', limit: 0.6, scenario: 'refusals', value: refusal('401 unknown key') },
  { figure: '429 / forwarded', limit: 0.75, scenario: 'refusals', value: refusal('429 rate limited') },
  {
    figure: 'open circuit / forwarded',
    limit: 0.75,
    scenario: 'refusals',
    value: refusal('503 circuit open'),
  },
  {
    figure: 'p99 of phase 4 / of fast-gateway, same load',
    limit: 1,
    scenario: 'offered-load',
    value: (results) => compare(results, 'offered-load', ['phase 4', 'fast-gateway'], ({ p99Ms }) => p99Ms),
  },
  { figure: 'memory after 10 minutes / after 1', limit: 1.1, scenario: 'soak', value: growth },
  {
    figure: '10,000 routes / 2 routes',
    limit: 1.1,
    scenario: 'routes',
    value: (results) => compare(results, 'routes', ['10000 routes', '2 routes']),
  },
];

/** Compares the results with every goal. The median of the ratios decides. */
export function judgeGoals(results: Results): Judged[] {
  const spread = spreadOf(results) ?? 0;
  return goals.map(({ figure, limit, scenario, value }) => {
    const most = typeof limit === 'number' ? limit : limit(spread);
    const measured = value(results);
    if (!measured || measured.length === 0) return { figure, scenario, limit: most, value: null, met: null };
    const middle = median(measured);
    return { figure, scenario, limit: most, value: middle, met: middle <= most };
  });
}

/** The noise of the run, from the subject that is measured twice. */
export function spreadOf(results: Results): number | undefined {
  const twice = compare(results, 'forward', [sameAgain, 'phase 1']);
  return twice && noise(twice);
}

/** The CPU time that phase 3's limiter adds, divided by what the other adds. Undefined when noise makes it negative. */
function addedCost(results: Results, other: string): number[] | undefined {
  const cost = (name: string) => {
    const measured = find(results, 'limiters', name);
    return measured ? median(figures(measured, cpuOf)) : Number.NaN;
  };
  const none = cost('no limiter');
  const ratio = (cost('phase 3') - none) / (cost(other) - none);
  return ratio > 0 ? [ratio] : undefined;
}

/** Resident memory in the last half minute, divided by that around the end of the first minute. */
function growth(results: Results): number[] | undefined {
  const soaked = find(results, 'soak', 'phase 4');
  if (!soaked) return undefined;
  const resident = soaked.slices.map(({ residentBytes }) => residentBytes);
  const early = median(resident.slice(9, 15));
  return resident.slice(-6).map((bytes) => bytes / early);
}
