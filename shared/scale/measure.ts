import { readFileSync } from 'node:fs';
import { cpus, type } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { type RedisServer, startRedis } from '../process/redis-process.ts';
import { until } from '../process/until.ts';
import { root } from '../repository/phases.ts';
import type { RedisFigures } from './figures.ts';

const buckets = 100_000;
const counts = 200_000;
// The gateway sends the commands of one iteration of its event loop in one write. This many are sent together here.
const batch = 20;
const windowMs = 3_600_000;
const lua = readFileSync(join(root, 'phases', '7-redis-cluster', 'fixed-window.lua'), 'utf8');

/** Measures a Redis with the counter script of phase 7, through ioredis and without a gateway. */
export async function measureRedis(): Promise<RedisFigures> {
  const primary = await startRedis();
  const redis = new Redis(primary.url);
  try {
    const sha = String(await redis.script('LOAD', lua));
    const client = (n: number) => `gateway:{client:client-${n}}`;
    const address = (n: number) => `gateway:{address:10.${n >> 16}.${(n >> 8) & 255}.${n & 255}}`;
    const count = (keyOf: (n: number) => string, times: number) => countMany(redis, sha, keyOf, times);

    const empty = await infoNumber(primary, 'used_memory');
    await count(client, buckets);
    const clients = await infoNumber(primary, 'used_memory');
    await count(address, buckets);
    const both = await infoNumber(primary, 'used_memory');
    const countUs = await cpuPerCount([primary], () => count(client, counts));
    const hotCountUs = await cpuPerCount([primary], () => count(() => client(0), counts));
    return {
      date: new Date().toISOString().slice(0, 10),
      machine: await describe(primary),
      countUs: countUs[0] as number,
      hotCountUs: hotCountUs[0] as number,
      clientBytes: (clients - empty) / buckets,
      addressBytes: (both - clients) / buckets,
      ...(await measureReplica(primary, () => count(client, counts))),
    };
  } finally {
    redis.disconnect();
    await primary.close();
  }
}

async function measureReplica(primary: RedisServer, load: () => Promise<void>) {
  const replica = await startRedis('--replicaof', '127.0.0.1', String(primary.port));
  try {
    const isLinked = async () =>
      String(await replica.command('INFO', 'replication')).includes('master_link_status:up');
    await until(isLinked, 'the replica is linked', 30_000);
    const before = await infoNumber(primary, 'master_repl_offset');
    const [primaryUs, replicaUs] = await cpuPerCount([primary, replica], load);
    const after = await infoNumber(primary, 'master_repl_offset');
    return {
      replicatedCountUs: primaryUs as number,
      replicaUs: replicaUs as number,
      streamBytes: (after - before) / counts,
    };
  } finally {
    await replica.close();
  }
}

async function countMany(
  redis: Redis,
  sha: string,
  keyOf: (n: number) => string,
  times: number,
): Promise<void> {
  for (let first = 0; first < times; first += batch) {
    const pipeline = redis.pipeline();
    for (let n = first; n < first + batch; n++) pipeline.evalsha(sha, 1, keyOf(n % buckets), windowMs);
    const replies = await pipeline.exec();
    const failed = replies?.find(([error]) => error !== null);
    if (failed) throw failed[0];
  }
}

async function cpuPerCount(servers: RedisServer[], load: () => Promise<void>): Promise<number[]> {
  const cpu = async (server: RedisServer) =>
    (await infoNumber(server, 'used_cpu_user')) + (await infoNumber(server, 'used_cpu_sys'));
  const before = await Promise.all(servers.map(cpu));
  await load();
  const after = await Promise.all(servers.map(cpu));
  return after.map((seconds, i) => ((seconds - (before[i] as number)) * 1e6) / counts);
}

async function infoNumber(server: RedisServer, name: string): Promise<number> {
  const text = String(await server.command('INFO'));
  return Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(text)?.[1]);
}

async function describe(server: RedisServer): Promise<Record<string, string>> {
  const version = /redis_version:(\S+)/.exec(String(await server.command('INFO', 'server')))?.[1];
  const processor = `${cpus()[0]?.model.trim() || 'unknown'}, ${cpus().length} cores`;
  return { processor, system: type(), redis: version ?? 'unknown', node: process.version };
}
