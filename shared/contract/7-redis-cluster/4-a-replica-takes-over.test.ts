// When a replica takes over, its shard counts again without a restart, within two seconds. A planned change of the
// primary costs no count at all. What the old primary had not yet sent to its replica is lost with it.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../harness/client.ts';
import type { Gateway } from '../harness/gateway.ts';
import { ask, isCounted, outageLines } from '../harness/limited.ts';
import { type ClusterNode, type RedisCluster, redisAvailable, startCluster } from '../harness/redis.ts';
import {
  addressesBeside,
  addressesOn,
  expectExact,
  newAddress,
  noiseMs,
  returnMs,
  slotOf,
  startCounting,
} from './shards.ts';

const limit = 3;

describe.skipIf(!redisAvailable)('a replica that takes over', () => {
  let cluster: RedisCluster;
  let gateways: Gateway[];

  beforeEach(async () => {
    cluster = await startCluster();
    gateways = await Promise.all([1, 2].map(() => startCounting(cluster.url, limit)));
  });

  afterEach(async () => {
    await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
    await cluster?.close();
  });

  const first = () => gateways[0] as Gateway;

  test('as planned costs no count and no line about an outage', async () => {
    const node = cluster.nodes[0] as ClusterNode;
    const addresses = [
      ...(await addressesOn(cluster, node, 20)),
      ...(await addressesBeside(cluster, node, 5)),
    ];
    const half = addresses.slice(0, 10);
    for (const address of half) expect(isCounted(await ask(first(), address))).toBe(true);
    const replica = await cluster.replicaOf(await slotOf(cluster, String(half[0])));
    let over = false;
    let uncounted = 0;
    const load = Array.from({ length: 16 }, async (_, i) => {
      while (!over) if (!isCounted(await ask(gateways[i % 2] as Gateway, newAddress()))) uncounted++;
    });
    await replica.command('CLUSTER', 'FAILOVER');
    const hasTakenOver = async () =>
      (await cluster.primaryOf(await slotOf(cluster, String(half[0])))) === replica;
    await until(hasTakenOver, 'the replica has taken over');
    const isLeft = async () => !/cmd=eval/.test(String(await node.command('CLIENT', 'LIST')));
    await until(isLeft, 'no gateway asks the old primary', 10_000);
    over = true;
    await Promise.all(load);
    expect(uncounted, 'requests without a count').toBe(0);
    // The counts of the old primary are there.
    for (const address of half) {
      const statuses: number[] = [];
      for (let n = 1; n <= limit; n++) statuses.push((await ask(gateways[n % 2] as Gateway, address)).status);
      expect(statuses).toEqual([200, 200, 429]);
    }
    await expectExact(gateways, addresses.slice(10), limit);
    const lost = gateways.flatMap((gateway) =>
      outageLines(gateway).filter(({ msg }) => msg === 'redis lost'),
    );
    expect(lost).toEqual([]);
  });

  test.each<[what: string, fail: (node: ClusterNode) => unknown]>([
    ['after its primary was killed', (node) => node.kill()],
    ['after its primary has hung', (node) => node.freeze()],
  ])('%s counts within 2 s, with the counts that it had', async (_what, fail) => {
    const node = cluster.nodes[1] as ClusterNode;
    const [own, others] = [await addressesOn(cluster, node, 30), await addressesBeside(cluster, node, 10)];
    const counted = own.slice(0, 5);
    for (const address of counted) await ask(first(), address);
    const slot = await slotOf(cluster, String(own[0]));
    const replica = await cluster.replicaOf(slot);
    const arrived = async () => Number(await replica.command('DBSIZE')) >= counted.length;
    await until(arrived, 'the counts are in the replica');
    await fail(node);
    const lost = await Promise.all(
      gateways.map(async (gateway) => {
        await ask(gateway, own[5]);
        return gateway.waitForLog(({ msg }) => msg === 'redis lost');
      }),
    );
    await expectExact(gateways, others, limit);

    const isPrimary = async () =>
      String(await replica.command('INFO', 'replication')).includes('role:master');
    await until(isPrimary, 'the replica is the primary', 15_000);
    await Promise.all(
      gateways.map((gateway) =>
        until(async () => isCounted(await ask(gateway, own[6])), 'its shard counts', returnMs + noiseMs),
      ),
    );
    for (const address of counted) expect((await ask(first(), address)).headers.ratelimit).toMatch(/r=1;/);
    await expectExact(gateways, own.slice(7), limit);
    for (const [i, gateway] of gateways.entries()) {
      const found = await gateway.waitForLog(({ msg }) => msg === 'redis found');
      expect(found.shard).toMatch(/^[123]$/);
      expect(found.shard).toBe(lost[i]?.shard);
      expect(gateway.stderr()).toBe('');
    }

    // The old primary comes back as a replica. The gateways do not ask it.
    if (_what.includes('hung')) node.thaw();
    else await node.restart();
    const isReplica = async () => String(await node.command('INFO', 'replication')).includes('role:slave');
    await until(isReplica, 'the old primary is a replica', 15_000);
    await expectExact(gateways, Array.from({ length: 20 }, newAddress), limit);
  });
});
