import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterNode, RedisCluster } from '../process/redis-cluster.ts';
import type { RedisServer } from '../process/redis-process.ts';
import type { WatchedRedis } from '../process/redis-sentinel.ts';
import { until } from '../process/until.ts';
import type { Outage } from './meet-outages.ts';

// Each outage meets the shard of this slot.
const slot = 8_000;
const takeoverMs = 20_000;

/** Outages of a cluster of three shards, each with a replica, in the order of the document. */
export const clusterOutages: Outage<RedisCluster>[] = [
  {
    name: 'flushed',
    exact: true,
    async make({ nodes }, ms) {
      for (let i = 0; i < ms / 100; i++) {
        for (const node of nodes) await node.command('SCRIPT', 'FLUSH');
        await delay(100);
      }
      return performance.now();
    },
  },
  {
    name: '5,000 slots moved and back',
    exact: true,
    async make(cluster) {
      const [from, to] = [await cluster.primaryOf(slot), await cluster.primaryOf(0)];
      const ids = [await idOf(from), await idOf(to)];
      // A primary that has lost its last slot becomes a replica, so it keeps some.
      await reshard(cluster, to, ids, 5_000);
      await reshard(cluster, to, ids.toReversed(), 5_000);
      return performance.now();
    },
  },
  {
    name: 'replica takes over as planned',
    exact: true,
    async make(cluster) {
      const replica = await cluster.replicaOf(slot);
      await replica.command('CLUSTER', 'FAILOVER');
      await until(
        async () => (await cluster.primaryOf(slot)) === replica,
        'the replica is primary',
        takeoverMs,
      );
      return performance.now();
    },
  },
  {
    name: 'shard full',
    async make(cluster, ms) {
      const node = await cluster.primaryOf(slot);
      await node.command('CONFIG', 'SET', 'maxmemory', '1');
      await delay(ms);
      await node.command('CONFIG', 'SET', 'maxmemory', '0');
      return performance.now();
    },
  },
  {
    name: 'shard refuses the user',
    async make(cluster, ms) {
      const node = await cluster.primaryOf(slot);
      await node.command('ACL', 'SETUSER', 'default', '-evalsha', '-eval');
      await delay(ms);
      await node.command('ACL', 'SETUSER', 'default', '+evalsha', '+eval');
      return performance.now();
    },
  },
  {
    name: 'primary killed, replica takes over',
    async make(cluster) {
      const [node, replica] = [await cluster.primaryOf(slot), await cluster.replicaOf(slot)];
      await node.kill();
      const end = await timeOfTakeover(replica);
      await node.restart();
      return end;
    },
  },
  {
    name: 'primary frozen, replica takes over',
    async make(cluster) {
      const node = await cluster.primaryOf(0);
      const replica = await cluster.replicaOf(0);
      node.freeze();
      const end = await timeOfTakeover(replica);
      node.thaw();
      return end;
    },
  },
  {
    name: 'all counters lost',
    async make({ nodes }) {
      for (const node of nodes) await node.command('FLUSHALL').catch(() => {}); // replicas refuse
      return performance.now();
    },
  },
];

/** Outages of a primary that Sentinels watch, in the order of the document. */
export const sentinelOutages: Outage<WatchedRedis>[] = [
  {
    name: 'Sentinels: primary replaced as planned',
    async make(redis) {
      const old = await redis.primary();
      await redis.failover();
      return timeOfChoice(redis, old);
    },
  },
  {
    name: 'Sentinels: primary killed',
    async make(redis) {
      const old = await redis.primary();
      await old.kill();
      const end = await timeOfChoice(redis, old);
      await old.restart();
      return end;
    },
  },
  {
    name: 'Sentinels: primary frozen',
    async make(redis) {
      const old = await redis.primary();
      old.freeze();
      const end = await timeOfChoice(redis, old);
      old.thaw();
      return end;
    },
  },
];

async function idOf(node: ClusterNode): Promise<string> {
  return String(await node.command('CLUSTER', 'MYID'));
}

async function reshard(cluster: RedisCluster, any: ClusterNode, ids: string[], count: number): Promise<void> {
  const [from = '', to = ''] = ids;
  const agree = () =>
    cluster.manage('check', `127.0.0.1:${any.port}`).then(
      () => true,
      () => false,
    );
  await until(agree, 'all nodes have the same map', takeoverMs);
  const words = ['reshard', `127.0.0.1:${any.port}`, '--cluster-from', from, '--cluster-to', to];
  await cluster.manage(
    ...words,
    '--cluster-slots',
    String(count),
    '--cluster-pipeline',
    '100',
    '--cluster-yes',
  );
}

async function timeOfTakeover(replica: RedisServer): Promise<number> {
  const isPrimary = async () => String(await replica.command('INFO', 'replication')).includes('role:master');
  await until(isPrimary, 'the replica is primary', takeoverMs);
  return performance.now();
}

async function timeOfChoice(redis: WatchedRedis, old: RedisServer): Promise<number> {
  await until(
    async () => (await redis.primary()) !== old,
    'the Sentinels have chosen another primary',
    takeoverMs,
  );
  return performance.now();
}
