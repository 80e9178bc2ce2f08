import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { until } from '../shared/contract/harness/client.ts';
import { redisAvailable } from '../shared/contract/harness/redis.ts';
import { newestPhase, startNewestGateway } from './support/newest-gateway.ts';
import { makeCluster, type NodeView, type RedisNode, startNodes, urlOf } from './support/redis-nodes.ts';

const whole = 'The cluster is whole: 6 nodes.\n';
const waitMs = 30_000;

/** Waits until each node knows all six at their present addresses, as three primaries with a replica each. */
async function becomesWhole(nodes: RedisNode[], strangers = 0): Promise<void> {
  const addresses = nodes.map(({ at }) => at).sort();
  const isWhole = async (node: RedisNode) => {
    const views = [...(await node.view()).values()];
    const known = views.filter(({ flags }) => flags === 'master' || flags === 'slave');
    const primaries = known.filter(({ slots }) => slots.length > 0);
    const replicated = new Set(known.flatMap(({ flags, primary }) => (flags === 'slave' ? [primary] : [])));
    const covered = (await node.ask('cluster', 'info')).includes('cluster_slots_ok:16384');
    return (
      covered &&
      views.length === 6 + strangers &&
      primaries.length === 3 &&
      replicated.size === 3 &&
      known
        .map(({ at }) => at)
        .sort()
        .join() === addresses.join()
    );
  };
  await until(
    async () => (await Promise.all(nodes.map(isWhole))).every(Boolean),
    'every node knows all others',
    waitMs,
  );
}

const rolesOf = (view: Map<string, NodeView>) =>
  [...view].map(([id, { primary, slots }]) => `${id} ${primary} ${slots}`).sort();

// Only Linux has more addresses than 127.0.0.1 for this machine.
const runsHere = redisAvailable && process.platform === 'linux';

describe.skipIf(!runsHere).concurrent('make-cluster.sh', () => {
  test('makes a cluster of six nodes, and changes nothing when it runs again', async () => {
    const nodes = await startNodes();
    const [one] = nodes as [RedisNode];
    expect(await makeCluster(nodes)).toMatchObject({ code: 0, output: expect.stringContaining(whole) });
    await becomesWhole(nodes);
    expect(await one.ask('-c', 'set', 'key', 'value')).toBe('OK');
    const before = rolesOf(await one.view());
    expect(await makeCluster(nodes)).toEqual({ code: 0, output: whole });
    await becomesWhole(nodes);
    expect(rolesOf(await one.view())).toEqual(before);
    expect(await one.ask('-c', 'get', 'key')).toBe('value');
  });

  test('is not needed when one node gets another address', async () => {
    const nodes = await startNodes();
    await makeCluster(nodes);
    await becomesWhole(nodes);
    const [one] = nodes as [RedisNode];
    const id = await one.ask('cluster', 'myid');
    await one.stop();
    await one.start();
    await becomesWhole(nodes);
    expect(await one.ask('cluster', 'myid')).toBe(id);
    expect((await one.view()).get(id)?.at).toBe(one.at);
  });

  test('joins all nodes again when all have got other addresses', async () => {
    const nodes = await startNodes();
    await makeCluster(nodes);
    await becomesWhole(nodes);
    await Promise.all(nodes.map((node) => node.stop()));
    await Promise.all(nodes.map((node) => node.start()));
    expect(await makeCluster(nodes)).toEqual({ code: 0, output: whole });
    await becomesWhole(nodes);
  });

  test('makes a node that has lost its disk a replica again', async () => {
    const nodes = await startNodes();
    await makeCluster(nodes);
    await becomesWhole(nodes);
    const [one, two] = nodes as [RedisNode, RedisNode];
    const lost = await one.ask('cluster', 'myid');
    await one.stop();
    one.loseDisk();
    await one.start();
    await until(
      async () => (await two.view()).get(lost)?.slots.length === 0,
      'the replica of the lost node has its slots',
      waitMs,
    );
    expect(await makeCluster(nodes)).toEqual({ code: 0, output: whole });
    // The others remember the lost node.
    await becomesWhole(nodes, 1);
  });

  test('finishes what an interrupted run has begun', async () => {
    const nodes = await startNodes();
    const [one, two] = nodes as [RedisNode, RedisNode];
    // Slots that a new run gives to other nodes, and a count, with which a node refuses to be reset.
    await one.ask('cluster', 'addslotsrange', '10923', '16383');
    await two.ask('cluster', 'addslotsrange', '0', '5460');
    await until(async () => (await one.ask('set', 'foo', '1')) === 'OK', 'the node counts', waitMs);
    expect(await makeCluster(nodes)).toMatchObject({ code: 0, output: expect.stringContaining(whole) });
    await becomesWhole(nodes);
  });

  test('makes a cluster in which a gateway counts, also when a primary gets another address', async () => {
    const nodes = await startNodes();
    await makeCluster(nodes);
    const config = join(newestPhase.folder, 'gateway.json');
    const { adminPort } = await startNewestGateway(config, { REDIS_URL: urlOf(nodes) });
    const countsInAllShards = async () => {
      const metrics = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
      return (
        [...metrics.matchAll(/^gateway_redis_up\{shard="\d"\} (\d)$/gm)].map(([, up]) => up).join() ===
        '1,1,1'
      );
    };
    await until(countsInAllShards, 'the gateway counts in three shards', waitMs);
    const [one] = nodes as [RedisNode];
    await one.stop();
    await until(async () => !(await countsInAllShards()), 'a shard is lost', waitMs);
    await one.start();
    expect(await makeCluster(nodes)).toEqual({ code: 0, output: whole });
    await until(countsInAllShards, 'the gateway counts in three shards again', waitMs);
  });

  test('does not make a cluster of fewer nodes, and names those that do not answer', async () => {
    const nodes = await startNodes();
    const [one, two] = nodes as [RedisNode, RedisNode];
    await two.stop();
    const { code, output } = await makeCluster(nodes, 1);
    expect({ code, output }).toEqual({
      code: 1,
      output: expect.stringContaining(`No answer from: ${two.at}`),
    });
    expect((await one.view()).size).toBe(1);
  });
});
