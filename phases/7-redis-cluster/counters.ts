import type { Logger } from 'pino';
import type { Gauge } from 'prom-client';
import { Cluster } from './cluster.ts';
import { FixedWindows } from './fixed-window.ts';
import type { WindowCount, Windows } from './rate-limit.ts';
import { connectRedis as connectServer, type OpenRedis } from './redis.ts';

/** One Redis, or a cluster of them. */
export type RedisServers = OpenRedis | Cluster;

/** As `connectRedis` of redis.ts. A list of URLs is a cluster. */
export async function connectRedis(
  urls: string | string[] | undefined,
  prefix: string,
  log: Logger,
): Promise<RedisServers> {
  if (typeof urls !== 'object') return connectServer(urls, prefix, log);
  const cluster = new Cluster(urls, `${prefix}:`, log);
  await cluster.started;
  return cluster;
}

/** The counters, and whether they can be reached. Each question asks Redis now. */
export interface Counters extends Windows {
  /** False when no request can be counted. */
  answers(): Promise<boolean>;
  /** Sets `gateway_redis_up`: one series, or one for each shard. */
  report(gauge: Gauge): Promise<void>;
  /** The labels of the shards that are lost; no field for one Redis. */
  lostShards(): Promise<{ lostShards?: string[] }>;
}

/** Opens the counters. */
export function openCounters(redis: RedisServers, log: Logger): Counters {
  return redis instanceof Cluster ? new ClusterCounters(redis) : new OneRedis(redis, log);
}

class OneRedis extends FixedWindows implements Counters {
  async report(gauge: Gauge): Promise<void> {
    gauge.set((await this.answers()) ? 1 : 0);
  }

  async lostShards(): Promise<object> {
    return {};
  }
}

class ClusterCounters implements Counters {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  count(bucket: string, windowMs: number): Promise<WindowCount | null> {
    return this.#cluster.count(bucket, windowMs);
  }

  async answers(): Promise<boolean> {
    return (await this.#cluster.states()).some(({ up }) => up);
  }

  async report(gauge: Gauge): Promise<void> {
    const states = await this.#cluster.states();
    gauge.reset();
    for (const { shard, up } of states) gauge.set({ shard }, up ? 1 : 0);
  }

  async lostShards(): Promise<{ lostShards: string[] }> {
    const states = await this.#cluster.states();
    return { lostShards: states.flatMap(({ shard, up }) => (up ? [] : [shard])) };
  }
}
