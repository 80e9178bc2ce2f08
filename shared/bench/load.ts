import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratch, startBenchProcess } from '../process/bench-process.ts';
import type { Answers } from '../process/load-answers.ts';
import { onPath } from '../process/on-path.ts';
import { CliError } from '../terminal/cli-error.ts';
import { peersFolder, peersInstalled } from './peers.ts';

/** Requests of one kind, sent for `seconds`. */
export interface BenchLoad {
  path: string;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  bodyBytes: number;
  connections: number;
  seconds: number;
  /** Requests per second, sent whether or not earlier ones were answered. Without it, a connection waits for each response. */
  rate?: number;
}

const autocannon = join(peersFolder, 'node_modules', 'autocannon', 'autocannon.js');

/** The load generator: wrk if it is on PATH, because it needs a tenth of the CPU time of any generator in Node. */
export function loadProgram(): 'wrk' | 'autocannon' {
  if (onPath('wrk')) return 'wrk';
  if (peersInstalled()) return 'autocannon';
  throw new CliError(
    'No load generator. Install wrk (apt-get install wrk, brew install wrk), or add --peers, which installs autocannon.',
  );
}

/** Sends the load to all urls at once, with the connections distributed over them. */
export async function sendLoad(urls: string[], load: BenchLoad): Promise<Answers> {
  const connections = Math.ceil(load.connections / urls.length);
  return combine(await Promise.all(urls.map((url) => sendToOne(url + load.path, { ...load, connections }))));
}

async function sendToOne(url: string, load: BenchLoad): Promise<Answers> {
  const { method, headers, bodyBytes, connections, seconds } = load;
  const fields = Object.entries(headers);
  if (load.rate !== undefined) {
    const script = join(import.meta.dirname, '..', 'process', 'open-loop.ts');
    const order = JSON.stringify({ url, headers, connections, seconds, rate: load.rate });
    return JSON.parse(
      await startBenchProcess({ words: ['node', '--import', 'tsx', script, order] }).finished,
    );
  }
  const common = ['-c', String(connections), '-d', String(seconds)];
  if (loadProgram() === 'wrk') {
    const lua = join(import.meta.dirname, 'wrk.lua');
    const named = fields.flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const words = [
      'wrk',
      '-t',
      '1',
      ...common,
      '--timeout',
      '30',
      '-s',
      lua,
      ...named,
      url,
      method,
      String(bodyBytes),
    ];
    return parseWrk(await startBenchProcess({ words }).finished);
  }
  const args = [autocannon, '-j', '-n', ...common, '-t', '30', '-m', method];
  for (const [name, value] of fields) args.push('-H', `${name}=${value}`);
  if (bodyBytes > 0) {
    const file = join(scratch, `body-${bodyBytes}`);
    writeFileSync(file, 'x'.repeat(bodyBytes));
    args.push('-i', file);
  }
  return parseAutocannon(await startBenchProcess({ words: ['node', ...args, url] }).finished);
}

/** Reads what wrk prints with wrk.lua: the last line is JSON. */
export function parseWrk(output: string): Answers {
  return JSON.parse(output.trim().split('\n').at(-1) as string);
}

/** Reads what `autocannon -j` prints. */
export function parseAutocannon(output: string): Answers {
  const { requests, duration, throughput, errors, timeouts, non2xx, latency } = JSON.parse(output);
  return {
    requests: requests.total,
    seconds: duration,
    bytes: throughput.total,
    errors: errors + timeouts,
    non2xx,
    p50Ms: latency.p50,
    p99Ms: latency.p99,
    p999Ms: latency.p99_9,
  };
}

/** Adds the counts. Of each latency it takes the highest. */
function combine(all: Answers[]): Answers {
  const sum = (key: keyof Answers) => all.reduce((total, answers) => total + answers[key], 0);
  const worst = (key: keyof Answers) => Math.max(...all.map((answers) => answers[key]));
  return {
    requests: sum('requests'),
    seconds: worst('seconds'),
    bytes: sum('bytes'),
    errors: sum('errors'),
    non2xx: sum('non2xx'),
    p50Ms: worst('p50Ms'),
    p99Ms: worst('p99Ms'),
    p999Ms: worst('p999Ms'),
  };
}
