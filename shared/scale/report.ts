import type { RedisFigures } from './figures.ts';
import { type ScalePlan, targetUse } from './model.ts';

/** The rows of the table that `npm run scale` prints. */
export function planRows(plan: ScalePlan): string[][] {
  const percent = (use: number) => `${Math.round(use * 100)} % of its core`;
  const first = plan.gatewayUse >= plan.primaryUse ? 'CPU of the gateways' : 'CPU of the primaries';
  return [
    ['gateways, one core each', String(plan.gateways)],
    ['shards', String(plan.shards)],
    ['Redis processes with replicas', String(plan.redisProcesses)],
    ['memory of each shard for its buckets', `${(plan.memoryPerShardBytes / 1e6).toFixed(1)} MB`],
    ['connections of gateways to each primary', String(plan.connectionsPerPrimary)],
    ['replication that each primary sends', `${(plan.replicationPerShard / 1e6).toFixed(2)} MB/s`],
    ['a gateway uses', percent(plan.gatewayUse)],
    ['a primary uses', percent(plan.primaryUse)],
    ['full first', first],
  ];
}

/** The assumptions behind a plan, with their sources. */
export function sources(gatewayUs: number, phase: number, redis: RedisFigures): string {
  return [
    `At most ${targetUse * 100} % of a core is used: a choice, not measured.`,
    `A request costs a gateway ${gatewayUs} µs: phase ${phase} in docs/costs.md.`,
    `A count costs a primary ${redis.countUs.toFixed(1)} µs, with a replica ${redis.replicatedCountUs.toFixed(1)} µs; a replica ${redis.replicaUs.toFixed(1)} µs.`,
    `A bucket takes ${Math.round(redis.clientBytes)} bytes for a client, ${Math.round(redis.addressBytes)} for an address. A count sends ${Math.round(redis.streamBytes)} bytes to each replica.`,
    `Counts of one bucket: at most ${Math.round(1e6 / redis.hotCountUs).toLocaleString('en')} per second, on one full core, from ${redis.hotCountUs.toFixed(1)} µs each.`,
    `Redis was measured on ${redis.date}: ${Object.values(redis.machine).join('; ')}.`,
  ].join('\n');
}
