import { join } from 'node:path';
import { startBenchProcess } from '../process/bench-process.ts';
import type { Lateness } from '../process/lateness.ts';
import type { Answers } from '../process/load-answers.ts';
import type { Figure } from './definition.ts';
import { atMost, none, timed } from './figures.ts';

/** The answers to other clients, and the lateness of the process that sent their requests. */
export type Others = Answers & { lateness: Lateness };

const requestsPerSecond = 200;
const connectionCount = 20;
const script = join(import.meta.dirname, '..', 'process', 'open-loop.ts');

/** Sends requests of other clients at a fixed rate, from a process of its own. The first second is not counted. */
export async function askOthers(url: string, seconds: number): Promise<Others> {
  const order = {
    url,
    headers: {},
    connections: connectionCount,
    seconds: seconds + 1,
    rate: requestsPerSecond,
  };
  const words = ['node', '--import', 'tsx', script, JSON.stringify(order)];
  return JSON.parse(await startBenchProcess({ words }).finished);
}

/**
 * The figures of the other clients: at most twice as slow as without the storm, and no failures. They are measured
 * without it before and after, and the slower of the two is the reference, because other programs use the machine too.
 */
export function figuresOfOthers(without: [Others, Others], during: Others): Figure[] {
  const twice = (name: string, key: 'p50Ms' | 'p99Ms', leastMs: number) => {
    const reference = Math.max(...without.map((others) => others[key]));
    return atMost(
      `${name} of other clients (without the storm: ${reference.toFixed(1)} ms)`,
      during[key],
      Math.max(2 * reference, leastMs),
      'ms',
      timed(500),
    );
  };
  const { requests, errors, non2xx } = during;
  return [
    // The floors: a difference of less than this is scheduling, not the storm.
    twice('p50', 'p50Ms', 5),
    twice('p99', 'p99Ms', 100),
    none(
      'other clients without an answer, or with another status than 200',
      errors + non2xx,
      requests + errors,
    ),
  ];
}
