// Each counter lies on one slot, and each slot on one shard, so gateways that count in the same cluster share every
// limit. A request costs one EVALSHA on the node that holds its slot. When a slot moves, the node answers MOVED or
// ASK, and the gateway counts at the right one within the same request.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Gateway } from '../harness/gateway.ts';
import { ask, isCounted, outageLines } from '../harness/limited.ts';
import { quotaOf } from '../harness/rate-limit-fields.ts';
import { type ClusterNode, type RedisCluster, redisAvailable, startCluster } from '../harness/redis.ts';
import { addressesOn, expectExact, keyOf, newAddress, slotOf, startCounting } from './shards.ts';

const limit = 3;

async function idOf(node: ClusterNode): Promise<string> {
  return String(await node.command('CLUSTER', 'MYID'));
}

describe.skipIf(!redisAvailable)('gateways that count in one cluster', () => {
  let cluster: RedisCluster;
  let gateways: Gateway[];

  beforeAll(async () => {
    cluster = await startCluster({ replicas: 0 });
    gateways = await Promise.all([1, 2, 3, 4].map(() => startCounting(cluster.url, limit)));
  });

  afterAll(async () => {
    await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
    await cluster?.close();
  });

  const first = () => gateways[0] as Gateway;
  const other = async (node: ClusterNode) =>
    cluster.nodes.find(({ port }) => port !== node.port) as ClusterNode;
  /** How often the nodes have run or refused a command, by INFO. */
  const total = async (section: string, pattern: RegExp) => {
    const texts = await Promise.all(cluster.nodes.map((node) => node.command('INFO', section)));
    return texts.reduce<number>((sum, text) => sum + Number(pattern.exec(String(text))?.[1] ?? 0), 0);
  };

  test('let exactly the limit of each address pass together', async () => {
    await expectExact(gateways, Array.from({ length: 2_000 }, newAddress), limit, 400);
    for (const node of cluster.nodes) expect(Number(await node.command('DBSIZE'))).toBeGreaterThan(200);
  });

  test('send one EVALSHA for a request, to the node that holds its slot', async () => {
    const addresses = Array.from({ length: 30 }, newAddress);
    await Promise.all(gateways.map((gateway) => ask(gateway, newAddress()))); // the script is known from now on
    const [calls, moved] = [/cmdstat_evalsha:calls=(\d+)/, /errorstat_MOVED:count=(\d+)/];
    const before = [await total('commandstats', calls), await total('errorstats', moved)];
    for (const address of addresses) expect(isCounted(await ask(first(), address))).toBe(true);
    const after = [await total('commandstats', calls), await total('errorstats', moved)];
    expect([Number(after[0]) - Number(before[0]), Number(after[1]) - Number(before[1])]).toEqual([30, 0]);
  });

  /** An address whose slot holds no other counter: a slot with keys cannot be given away at once. */
  const addressInFreeSlot = async () => {
    for (const node of cluster.nodes) await node.command('FLUSHALL');
    return newAddress();
  };

  test('count at the new node in the request that finds its slot moved, and ask there from then on', async () => {
    const address = await addressInFreeSlot();
    const slot = await slotOf(cluster, address);
    const from = await cluster.primaryOf(slot);
    const to = await other(from);
    await Promise.all(
      cluster.nodes.map(async (node) =>
        node.command('CLUSTER', 'SETSLOT', String(slot), 'NODE', await idOf(to)),
      ),
    );
    const moved = /errorstat_MOVED:count=(\d+)/;
    const before = await total('errorstats', moved);
    for (let n = 1; n <= limit; n++) {
      expect(quotaOf(await ask(first(), address)).remaining).toBe(limit - n);
    }
    expect(await to.command('GET', keyOf(address))).toBe(String(limit));
    expect((await total('errorstats', moved)) - before).toBe(1);
    expect(outageLines(first()).filter(({ msg }) => msg !== 'redis shards')).toEqual([]);
  });

  test('follow ASK while a slot is being moved, and count each request once', async () => {
    const address = await addressInFreeSlot();
    const slot = String(await slotOf(cluster, address));
    const from = await cluster.primaryOf(Number(slot));
    const to = await other(from);
    expect(quotaOf(await ask(first(), address)).remaining).toBe(limit - 1);
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', await idOf(from));
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', await idOf(to));
    await from.command('MIGRATE', '127.0.0.1', String(to.port), keyOf(address), '0', '5000');
    expect(quotaOf(await ask(first(), address)).remaining).toBe(limit - 2);
    // The target has forgotten the script: a fault that only this moment can show.
    await to.command('SCRIPT', 'FLUSH');
    expect(quotaOf(await ask(gateways[1] as Gateway, address)).remaining).toBe(limit - 3);
    await Promise.all(
      cluster.nodes.map(async (node) => node.command('CLUSTER', 'SETSLOT', slot, 'NODE', await idOf(to))),
    );
    const { status, headers } = await ask(first(), address);
    expect([status, headers.ratelimit !== undefined]).toEqual([429, true]);
    expect(await to.command('GET', keyOf(address))).toBe(String(limit + 1));
  });
});

describe.skipIf(!redisAvailable)('gateways whose cluster is resharded', () => {
  test('let exactly the limit pass while all slots of a shard are moved', async () => {
    const cluster = await startCluster({ replicas: 0 });
    const gateways = await Promise.all([1, 2].map(() => startCounting(cluster.url, limit)));
    const [to, , from] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode];
    const [fromId, toId] = [await idOf(from), await idOf(to)];
    const addresses = [...(await addressesOn(cluster, from, 30)), ...Array.from({ length: 30 }, newAddress)];
    const reshard = cluster.manage(
      ...['reshard', `127.0.0.1:${to.port}`, '--cluster-from', fromId, '--cluster-to', toId],
      ...['--cluster-slots', '16384', '--cluster-pipeline', '100', '--cluster-yes'],
    );
    let over = false;
    const end = () => {
      over = true;
    };
    reshard.then(end, end);
    let rounds = 0;
    while (!over) {
      await expectExact(gateways, rounds++ === 0 ? addresses : Array.from({ length: 60 }, newAddress), limit);
    }
    await reshard;
    expect(rounds).toBeGreaterThan(1);
    await expectExact(gateways, Array.from({ length: 60 }, newAddress), limit);
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await cluster.close();
  });
});
