import { arch, cpus, release, totalmem, type } from 'node:os';
import { ratios } from '../metrics/statistics.ts';
import { canPin } from '../process/cores.ts';
import type { Measured, Slice } from './measure.ts';
import type { Found } from './scenarios.ts';
import type { BenchSurroundings } from './surroundings.ts';

/** One run of the benchmark, with every slice it took: what --json writes and --from reads. */
export interface Results {
  date: string;
  quick: boolean;
  rounds: number;
  machine: Record<string, string>;
  found: Found[];
  leftOut: Array<{ scenario: string; name: string; why: string }>;
}

/** The machine and the programs that the figures depend on. */
export function describeMachine(around: BenchSurroundings, load: string): Record<string, string> {
  const [processor] = cpus();
  return {
    processor: `${processor?.model.trim() || arch()}, ${cpus().length} cores`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${type()} ${release()}`,
    node: process.version,
    load,
    service: around.fastIsNginx ? 'nginx (uploads and slow answers: Node)' : 'Node',
    redis: around.redis
      ? 'redis-server, a process of its own'
      : 'not found: the phases from 3 on were left out',
    cores: canPin ? 'gateway on core 0; load, service and Redis on core 1' : 'processes not pinned to cores',
  };
}

/** A subject of a scenario, or undefined where it was not measured. */
export function find(results: Results, scenario: string, name: string): Measured | undefined {
  return results.found
    .find((found) => found.name === scenario)
    ?.parts.flatMap(({ measured }) => measured)
    .find((measured) => measured.name === name);
}

/** One figure of each slice of a subject. */
export function figures({ slices }: Measured, figure: (slice: Slice) => number): number[] {
  return slices.map(figure);
}

/** The ratio of one figure between two subjects, for each round. Undefined when one of them was not measured. */
export function compare(
  results: Results,
  scenario: string,
  [name, reference]: [string, string],
  figure: (slice: Slice) => number = cpuOf,
): number[] | undefined {
  const a = find(results, scenario, name);
  const b = find(results, scenario, reference);
  return a && b && ratios(figures(a, figure), figures(b, figure));
}

/** CPU microseconds per request. */
export const cpuOf = (slice: Slice): number => slice.cpuUs;
