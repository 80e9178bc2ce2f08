import type { RedisFigures } from './figures.ts';

/** The load to plan for. */
export interface ScaleLoad {
  /** Counted requests per second. */
  rps: number;
  /** Clients and addresses that are seen within one window: one bucket each. */
  clients: number;
  addresses: number;
  /** Replicas of each shard. */
  replicas: number;
}

/** What the load needs. */
export interface ScalePlan {
  /** Gateways: one core each. */
  gateways: number;
  shards: number;
  redisProcesses: number;
  memoryPerShardBytes: number;
  connectionsPerPrimary: number;
  /** Bytes per second that each primary sends to its replicas. */
  replicationPerShard: number;
  /** How much of its core a gateway and a primary use, 0 to 1. The higher one is full first when the load grows. */
  gatewayUse: number;
  primaryUse: number;
}

/**
 * The part of a core that may be in use. The rest is for bursts, for uneven slots, and for a gateway that is missing.
 * It is a choice, and no measured figure.
 */
export const targetUse = 0.6;

/** Plans gateways and shards. Buckets and counts are taken as spread evenly over the shards. */
export function planFor(load: ScaleLoad, gatewayUs: number, redis: RedisFigures): ScalePlan {
  const countUs = redis.countUs + load.replicas * Math.max(0, redis.replicatedCountUs - redis.countUs);
  const gatewayCores = (load.rps * gatewayUs) / 1e6;
  const redisCores = (load.rps * countUs) / 1e6;
  const gateways = Math.max(1, Math.ceil(gatewayCores / targetUse));
  const shards = Math.max(1, Math.ceil(redisCores / targetUse));
  const bytes = load.clients * redis.clientBytes + load.addresses * redis.addressBytes;
  return {
    gateways,
    shards,
    redisProcesses: shards * (1 + load.replicas),
    memoryPerShardBytes: bytes / shards,
    connectionsPerPrimary: gateways,
    replicationPerShard: (load.rps * load.replicas * redis.streamBytes) / shards,
    gatewayUse: gatewayCores / gateways,
    primaryUse: redisCores / shards,
  };
}
