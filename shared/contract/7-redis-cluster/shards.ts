import http from 'node:http';
import { expect } from 'vitest';
import { configFor, type Gateway, type GatewayConfig, startGateway } from '../harness/gateway.ts';
import { ask, isCounted } from '../harness/limited.ts';
import type { ClusterNode, RedisCluster } from '../harness/redis.ts';
import { startUpstream } from '../harness/upstream.ts';

/** Added to the time limits of the contract, because a busy machine is late. */
export const noiseMs = 1_500;

/** How long a gateway may take to count again when a primary can count. */
export const returnMs = 2_000;

let last = 0;

/** An address that no other test uses. */
export function newAddress(): string {
  last++;
  return `10.1.${last >> 8}.${last & 255}`;
}

/** The key of the counter of an address. */
export function keyOf(address: string): string {
  return `gateway:{address:${address}}`;
}

/** The slot of the counter of an address. */
export async function slotOf(cluster: RedisCluster, address: string): Promise<number> {
  for (const node of cluster.nodes) {
    const slot = await node.command('CLUSTER', 'KEYSLOT', keyOf(address)).catch(() => undefined);
    if (slot !== undefined) return Number(slot);
  }
  throw new Error('No node of the cluster answers.');
}

/** New addresses whose counters lie on this primary. */
export function addressesOn(cluster: RedisCluster, node: ClusterNode, count: number): Promise<string[]> {
  return addressesWhere(cluster, count, (primary) => primary === node);
}

/** New addresses whose counters lie on other primaries. */
export function addressesBeside(cluster: RedisCluster, node: ClusterNode, count: number): Promise<string[]> {
  return addressesWhere(cluster, count, (primary) => primary !== node);
}

async function addressesWhere(
  cluster: RedisCluster,
  count: number,
  isWanted: (primary: ClusterNode) => boolean,
): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) {
    const address = newAddress();
    if (isWanted(await cluster.primaryOf(await slotOf(cluster, address)))) found.push(address);
  }
  return found;
}

/** Asserts that exactly `limit` of the requests of each address pass, and that all of them are counted. */
export async function expectExact(
  gateways: Gateway[],
  addresses: string[],
  limit: number,
  atOnce = 32,
): Promise<void> {
  const calls = addresses.flatMap((address) => Array.from({ length: limit + 2 }, () => address));
  const passed = new Map<string, number>();
  const wrong: unknown[] = [];
  let next = 0;
  const agent = new http.Agent({ keepAlive: true });
  const work = async () => {
    for (let i = next++; i < calls.length; i = next++) {
      const address = calls[i] as string;
      const answer = await ask(gateways[i % gateways.length] as Gateway, address, { agent });
      if (!isCounted(answer)) wrong.push([address, answer.status]);
      if (answer.status === 200) passed.set(address, (passed.get(address) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, calls.length) }, work));
  agent.destroy();
  expect(wrong.slice(0, 3), `${wrong.length} requests without a count`).toEqual([]);
  expect(addresses.filter((address) => passed.get(address) !== limit)).toEqual([]);
}

/** A config as in suite 3, with a limit that is the same for everybody. */
export async function clusterConfig(
  limit: number,
  whenRedisFails: 'allow' | 'reject' = 'reject',
): Promise<GatewayConfig> {
  const service = await startUpstream((_request, response) => response.end('ok'));
  const policy = { limit, windowMs: 60_000 };
  return configFor(
    {
      services: { a: { url: service.url, timeoutMs: 5_000 } },
      routes: [{ prefix: '/a', service: 'a', access: 'public' }],
      trustedProxies: ['127.0.0.1'],
      rateLimit: { identified: policy, anonymous: policy, whenRedisFails },
    },
    7,
  );
}

/** Starts a gateway with this REDIS_URL. */
export async function startCounting(
  redisUrl: string,
  limit: number,
  whenRedisFails?: 'allow' | 'reject',
): Promise<Gateway> {
  const config = await clusterConfig(limit, whenRedisFails);
  return startGateway(config, { env: { REDIS_URL: redisUrl, ADMIN_PORT: '0' } });
}
