import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Pool } from 'undici';
import { type GatewayProcess, startPhase } from '../process/gateway-process.ts';
import { freePort } from '../process/ports.ts';
import { startCluster } from '../process/redis-cluster.ts';
import { type RedisServer, startRedis } from '../process/redis-process.ts';
import { temporaryFolder } from '../process/temporary-folder.ts';
import { findPhase } from '../repository/phases.ts';
import type { RedisFigures } from './figures.ts';

const gatewayCount = 2;
const addresses = 20_000;
const connections = 100;
const loadMs = 10_000;

/** What one run with some shards has shown. */
export interface ShardRun {
  shards: number;
  /** Counted requests in the run. */
  counts: number;
  /** CPU time of all primaries for one count, in microseconds. */
  countUs: number;
  /** The part of the counts on the busiest shard, 0 to 1. */
  busiestShare: number;
  /** Memory of one counter, in bytes. */
  bucketBytes: number;
}

/** Lets two gateways count in this many shards. One shard is a Redis without a cluster. */
export async function runWithShards(shards: number): Promise<ShardRun> {
  const one = shards === 1 ? await startRedis() : null;
  const cluster = one ? null : await startCluster({ shards, replicas: 0 });
  const servers: RedisServer[] = cluster?.nodes ?? [one as RedisServer];
  const gateways = await startGateways(cluster?.url ?? String(one?.url));
  try {
    await Promise.all(servers.map((server) => server.command('CONFIG', 'RESETSTAT')));
    const before = await Promise.all(servers.map(stateOf));
    await sendLoad(gateways.map(({ url }) => url));
    const after = await Promise.all(servers.map(stateOf));
    const counts = after.map((state, i) => state.counts - (before[i] as State).counts);
    const total = sum(counts);
    const grown = (what: keyof State) =>
      sum(after.map((state, i) => state[what] - (before[i] as State)[what]));
    return {
      shards,
      counts: total,
      countUs: (grown('cpuSeconds') * 1e6) / total,
      busiestShare: Math.max(...counts) / total,
      bucketBytes: grown('bytes') / grown('keys'),
    };
  } finally {
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await Promise.all(servers.map((server) => server.close()));
  }
}

/** Rows for a table: what the model says, and what the runs have shown. The first row is the head. */
export function checkRows(runs: ShardRun[], redis: RedisFigures): string[][] {
  const difference = (measured: number, model: number) =>
    `${Math.round((100 * (measured - model)) / model)} %`;
  const row = (what: string, model: number, measured: number, text: (value: number) => string) => [
    what,
    text(model),
    text(measured),
    difference(measured, model),
  ];
  return [
    ['figure', 'model', 'measured', 'difference'],
    ...runs.flatMap(({ shards, counts, countUs, busiestShare, bucketBytes }) => {
      const name = shards === 1 ? '1 shard' : `${shards} shards`;
      return [
        row(
          `${name}: CPU per count (${counts.toLocaleString('en')} counts)`,
          redis.countUs,
          countUs,
          (us) => `${us.toFixed(1)} µs`,
        ),
        row(
          `${name}: part of the busiest`,
          1 / shards,
          busiestShare,
          (part) => `${(100 * part).toFixed(1)} %`,
        ),
        row(
          `${name}: memory of a counter`,
          redis.addressBytes,
          bucketBytes,
          (bytes) => `${bytes.toFixed(0)} bytes`,
        ),
      ];
    }),
  ];
}

interface State {
  counts: number;
  cpuSeconds: number;
  bytes: number;
  keys: number;
}

async function stateOf(server: RedisServer): Promise<State> {
  const text = String(await server.command('INFO', 'everything'));
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
  return {
    counts: number(/^cmdstat_evalsha:calls=(\d+)/m),
    cpuSeconds: number(/^used_cpu_user:(\S+)/m) + number(/^used_cpu_sys:(\S+)/m),
    bytes: number(/^used_memory:(\d+)/m),
    keys: Number(await server.command('DBSIZE')),
  };
}

/** The service does not answer and its circuit is open, so nearly all the work is counting. */
async function startGateways(redisUrl: string): Promise<GatewayProcess[]> {
  const file = join(temporaryFolder('gateway-scale-'), 'gateway.json');
  const policy = { limit: 1_000_000, windowMs: 3_600_000 };
  const config = {
    services: { a: { url: `http://127.0.0.1:${await freePort()}`, timeoutMs: 1_000 } },
    routes: [{ prefix: '/a', service: 'a', access: 'public' }],
    clients: [],
    trustedProxies: ['127.0.0.1'],
    rateLimit: { identified: policy, anonymous: policy, whenRedisFails: 'reject' },
    circuitBreaker: { failureThreshold: 1, cooldownMs: 3_600_000 },
    serverTiming: false,
  };
  writeFileSync(file, JSON.stringify(config));
  const silent = { onLog: () => {}, onError: () => {} };
  const env = { REDIS_URL: redisUrl, LOG_LEVEL: 'silent' };
  const gateways: GatewayProcess[] = [];
  for (let n = 0; n < gatewayCount; n++) {
    const ports = { port: await freePort(), adminPort: await freePort() };
    gateways.push(startPhase(findPhase('7'), ports, file, silent, env));
  }
  const ready = await Promise.all(gateways.map((gateway) => gateway.ready()));
  if (ready.includes(false)) throw new Error('A gateway of phase 7 did not become ready.');
  return gateways;
}

async function sendLoad(urls: string[]): Promise<void> {
  const pools = urls.map((url) => new Pool(url, { connections }));
  const end = performance.now() + loadMs;
  let next = 0;
  const work = async (pool: Pool) => {
    while (performance.now() < end) {
      const n = next++ % addresses;
      const headers = { 'x-forwarded-for': `10.0.${n >> 8}.${n & 255}` };
      const { body } = await pool.request({ method: 'GET', path: '/a', headers });
      await body.dump();
    }
  };
  await Promise.all(pools.flatMap((pool) => Array.from({ length: connections }, () => work(pool))));
  await Promise.all(pools.map((pool) => pool.destroy()));
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
