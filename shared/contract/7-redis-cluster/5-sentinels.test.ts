// Sentinels know which Redis is the primary, and choose another one when it fails. The gateway asks them at every
// attempt to connect, and counts within two seconds of their choice. A Sentinel that is dead or hung costs nothing.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../harness/client.ts';
import type { Gateway } from '../harness/gateway.ts';
import { ask, isCounted, outageLines } from '../harness/limited.ts';
import { type RedisServer, redisAvailable, startWatchedRedis, type WatchedRedis } from '../harness/redis.ts';
import { expectExact, newAddress, noiseMs, returnMs, startCounting } from './shards.ts';

const limit = 3;

describe.skipIf(!redisAvailable)('gateways that ask Sentinels', () => {
  let redis: WatchedRedis;
  let gateways: Gateway[] = [];

  beforeEach(async () => {
    redis = await startWatchedRedis();
  });

  afterEach(async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await redis?.close();
  });

  async function start(): Promise<void> {
    gateways = await Promise.all([1, 2].map(() => startCounting(redis.url, limit)));
  }
  const isNoOutage = (gateway: Gateway) => outageLines(gateway).every(({ msg }) => msg !== 'redis lost');

  test('count together at the primary that they name', async () => {
    await start();
    await expectExact(gateways, Array.from({ length: 20 }, newAddress), limit);
    const primary = await redis.primary();
    expect(Number(await primary.command('DBSIZE'))).toBeGreaterThanOrEqual(20);
    expect(gateways.every(isNoOutage)).toBe(true);
  });

  test('count although one Sentinel is gone at the start', async () => {
    await redis.killSentinel(0);
    await start();
    await expectExact(gateways, [newAddress()], limit);
    expect(gateways.every(isNoOutage)).toBe(true);
  });

  test.each<[what: string, fail: (primary: RedisServer) => unknown]>([
    ['was killed', (primary) => primary.kill()],
    ['hangs', (primary) => primary.freeze()],
    ['is replaced as planned', () => redis.failover()],
  ])('count again within 2 s after a primary that %s', async (_what, fail) => {
    await start();
    const old = await redis.primary();
    const address = newAddress();
    await expectExact(gateways, [address], limit);
    await fail(old);
    await until(
      async () => (await redis.primary()) !== old,
      'the Sentinels have chosen another primary',
      15_000,
    );
    await Promise.all(
      gateways.map((gateway) =>
        until(async () => isCounted(await ask(gateway, address)), 'the gateway counts', returnMs + noiseMs),
      ),
    );
    expect((await ask(gateways[0] as Gateway, address)).status).toBe(429);
    await expectExact(gateways, Array.from({ length: 20 }, newAddress), limit);
    for (const gateway of gateways) expect(gateway.stderr()).toBe('');
  });
});
