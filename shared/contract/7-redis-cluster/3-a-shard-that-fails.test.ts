// A shard that is dead, hung or full costs the counters on it, and no others. The log, /ready and the metrics name
// it by its number. The gateway stays ready as long as one shard counts: without it, one shard would stop everybody.

import { afterEach, describe, expect, test } from 'vitest';
import { adminOf } from '../harness/admin.ts';
import { until } from '../harness/client.ts';
import type { Gateway } from '../harness/gateway.ts';
import { ask, isCounted, outageLines } from '../harness/limited.ts';
import { type ClusterNode, type RedisCluster, redisAvailable, startCluster } from '../harness/redis.ts';
import {
  addressesBeside,
  addressesOn,
  expectExact,
  keyOf,
  newAddress,
  noiseMs,
  returnMs,
  slotOf,
  startCounting,
} from './shards.ts';

const limit = 3;
const commandBudgetMs = 200;
const silenceMs = 500;

let cluster: RedisCluster;
let gateway: Gateway;

async function start(whenRedisFails: 'allow' | 'reject' = 'reject'): Promise<void> {
  cluster = await startCluster({ replicas: 0 });
  gateway = await startCounting(cluster.url, limit, whenRedisFails);
}

afterEach(async () => {
  await gateway?.stop();
  await cluster?.close();
});

const isLost = (line: Record<string, unknown>) => line.msg === 'redis lost';
const isFound = (line: Record<string, unknown>) => line.msg === 'redis found';
const countsAt = (address: string) =>
  until(async () => isCounted(await ask(gateway, address)), 'its shard counts again', returnMs + noiseMs);

describe.skipIf(!redisAvailable)('a shard', () => {
  test.each<[what: string, fail: (node: ClusterNode) => unknown, mend: (node: ClusterNode) => unknown]>([
    ['that was killed', (node) => node.kill(), (node) => node.restart()],
    ['that hangs', (node) => node.freeze(), (node) => node.thaw()],
    [
      'that is full',
      (node) => node.command('CONFIG', 'SET', 'maxmemory', '1'),
      (node) => node.command('CONFIG', 'SET', 'maxmemory', '0'),
    ],
    [
      'whose rights were taken away',
      (node) => node.command('ACL', 'SETUSER', 'default', '-evalsha', '-eval'),
      (node) => node.command('ACL', 'SETUSER', 'default', '+evalsha', '+eval'),
    ],
  ])('%s costs its own counters only, until it is back', async (_what, fail, mend) => {
    await start();
    const admin = await adminOf(gateway);
    const node = cluster.nodes[1] as ClusterNode;
    const own = await addressesOn(cluster, node, 4);
    const others = await addressesBeside(cluster, node, 20);
    await expectExact([gateway], [own[0], others[0]] as string[], limit);
    await fail(node);

    const begin = performance.now();
    const refused = await ask(gateway, own[1]);
    expect(refused.status).toBe(503);
    expect(performance.now() - begin).toBeLessThan(commandBudgetMs + noiseMs);
    const { shard } = await gateway.waitForLog(isLost, silenceMs + noiseMs);
    await expectExact([gateway], others.slice(1), limit);
    const quick = performance.now();
    expect((await ask(gateway, own[2])).status).toBe(503);
    expect(performance.now() - quick, 'ms without a wait').toBeLessThan(commandBudgetMs);
    expect(await admin.ask('/ready')).toEqual({
      status: 200,
      body: { ready: true, missing: [], lostShards: [shard] },
    });
    const metrics = await admin.scrape();
    const ups = metrics.find('gateway_redis_up').map(({ labels, value }) => [labels.shard, value]);
    expect(ups.toSorted()).toEqual(['1', '2', '3'].map((label) => [label, label === shard ? 0 : 1]));

    await mend(node);
    await countsAt(String(own[3]));
    await gateway.waitForLog((line) => isFound(line) && line.shard === shard);
    expect(outageLines(gateway).filter((line) => isLost(line) || isFound(line))).toHaveLength(2);
    expect(gateway.stderr()).toBe('');
  });

  test('that is lost lets its requests pass when whenRedisFails is allow', async () => {
    await start('allow');
    const node = cluster.nodes[2] as ClusterNode;
    const [own = ''] = await addressesOn(cluster, node, 1);
    await node.kill();
    const answer = await ask(gateway, own);
    expect([answer.status, isCounted(answer)]).toEqual([200, false]);
  });

  test('that is gone at the start does not keep the others from counting', async () => {
    cluster = await startCluster({ replicas: 0 });
    const node = cluster.nodes[0] as ClusterNode;
    const [own = ''] = await addressesOn(cluster, node, 1);
    const others = await addressesBeside(cluster, node, 10);
    await node.kill();
    gateway = await startCounting(cluster.url, limit);
    await until(async () => isCounted(await ask(gateway, others[0])), 'the others count', returnMs + noiseMs);
    await expectExact([gateway], others.slice(1), limit);
    expect((await ask(gateway, own)).status).toBe(503);
    await node.restart();
    await countsAt(own);
  });
});

describe.skipIf(!redisAvailable)('a cluster', () => {
  test('that is gone as a whole makes a gateway that needs it not ready', async () => {
    await start();
    const admin = await adminOf(gateway);
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    await until(async () => (await admin.ask('/ready')).status === 503, 'the gateway is not ready');
    const { body } = await admin.ask('/ready');
    expect(body).toEqual({ ready: false, missing: ['redis'], lostShards: ['1', '2', '3'] });
    expect((await ask(gateway, newAddress())).status).toBe(503);
    await Promise.all(cluster.nodes.map((node) => node.restart()));
    await until(async () => (await admin.ask('/ready')).status === 200, 'the gateway is ready', 10_000);
    for (const address of Array.from({ length: 20 }, newAddress)) await countsAt(address);
  });

  test('that is gone at the start is found later', async () => {
    cluster = await startCluster({ replicas: 0 });
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    gateway = await startCounting(cluster.url, limit);
    expect((await ask(gateway, newAddress())).status).toBe(503);
    await gateway.waitForLog(isLost);
    await Promise.all(cluster.nodes.map((node) => node.restart()));
    const addresses = Array.from({ length: 20 }, newAddress);
    for (const address of addresses) await countsAt(address);
    await gateway.waitForLog(isFound);
  });

  test('with a slot that no shard holds lacks the counters on it, and no others', async () => {
    await start();
    const own = newAddress();
    const slot = String(await slotOf(cluster, own));
    expect(isCounted(await ask(gateway, own))).toBe(true);
    for (const node of cluster.nodes) await node.command('CLUSTER', 'DELSLOTS', slot);
    const late = await startCounting(cluster.url, limit);
    const holds = (node: ClusterNode) => node.command('GET', keyOf(own)).then(String, String);
    const nobodyHolds = async () =>
      (await Promise.all(cluster.nodes.map(holds))).every((reply) => reply.includes('CLUSTERDOWN'));
    await until(nobodyHolds, 'no node holds the slot');
    for (const asked of [gateway, late, gateway, late]) {
      expect((await ask(asked, own)).status).toBe(503);
      await expectExact([gateway, late], Array.from({ length: 20 }, newAddress), limit);
    }
    expect([gateway, late].flatMap(outageLines).filter(isLost)).toEqual([]);
    await late.stop();
  });

  test('that forgets all counters is no outage', async () => {
    await start();
    const addresses = Array.from({ length: 10 }, newAddress);
    await expectExact([gateway], addresses, limit);
    for (const node of cluster.nodes) await node.command('FLUSHALL');
    for (const node of cluster.nodes) await node.command('SCRIPT', 'FLUSH');
    await expectExact([gateway], addresses, limit);
    expect(outageLines(gateway).filter(isLost)).toEqual([]);
  });
});
