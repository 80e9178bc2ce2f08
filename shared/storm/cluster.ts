import { startCluster } from '../process/redis-cluster.ts';
import { startWatchedRedis } from '../process/redis-sentinel.ts';
import { clusterOutages, sentinelOutages } from './cluster-outages.ts';
import type { Storm } from './definition.ts';
import { limitPerClient } from './limit-rounds.ts';
import { healedMs, meetOutages, outagesOf, schedulingMs, waitMs } from './meet-outages.ts';
import { lackOf } from './versions.ts';

/** Exact limits while a Redis Cluster, or a Redis with Sentinels, fails in every way. */
export const cluster: Storm = {
  name: 'cluster',
  title: 'A Redis Cluster and Sentinels fail',
  done: `The rounds of the storm before, in a Redis Cluster of three shards with one replica each (\`cluster-node-timeout\` 1000, \`cluster-require-full-coverage no\`), then in a Redis with two replicas that three Sentinels watch (\`down-after-milliseconds\` 500). Each outage meets one shard, so about two thirds of the rounds do not notice it. \`flushed\`: SCRIPT FLUSH on all nodes, ten times a second. \`5,000 slots moved\`: \`redis-cli --cluster reshard\`, to another shard and back. \`takes over as planned\`: CLUSTER FAILOVER. \`full\`, \`refuses the user\`: for 3 s (quick: 1 s). \`killed\`, \`frozen\`: the outage ends when the replica is primary, or the Sentinels have chosen another one. \`all counters lost\`: FLUSHALL.`,
  owed: `As in the storm before. While slots move, while a replica takes over as planned, and when scripts are flushed, every round is exact. At most ${healedMs / 1000} s after the end of an outage the first of ten exact rounds of ${limitPerClient} begins. No request waits longer than ${waitMs + schedulingMs} ms.`,
  lacks: ({ subject }) => (subject.level < 7 ? 'clusters begin with phase 7' : lackOf('redis-server')),

  run: (around) =>
    meetOutages(
      {
        async 'a cluster'() {
          const servers = await startCluster();
          return { redisUrl: servers.url, outages: outagesOf(clusterOutages, servers), close: servers.close };
        },
        async Sentinels() {
          const servers = await startWatchedRedis();
          return {
            redisUrl: servers.url,
            outages: outagesOf(sentinelOutages, servers),
            close: servers.close,
          };
        },
      },
      around,
    ),
};
