import { type DrillResponse, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

const clients = 60;
const slotOfKilled = 8_000;

export const shardDown: Drill = {
  name: 'shard-down',
  phase: 7,
  about: 'One of three shards of a Redis Cluster dies, and it has a replica. Which clients notice?',
  needsRedis: true,
  setUp: [
    'A gateway of phase 7 counts in a Redis Cluster of three shards, each a primary and a replica, and "whenRedisFails" is "reject".',
    `Each of ${clients} clients has an address of its own, and has sent one request.`,
    'One primary is killed, and all clients send requests again, until its replica has taken over.',
  ],
  question: 'Who gets a 503?',
  choices: {
    a: 'No client: the replica takes over before the next request',
    b: 'Every client, until the replica has taken over: the cluster is down',
    c: 'About a third of the clients, until the replica has taken over',
    d: 'About a third of all requests of every client, until the replica has taken over',
  },
  expected: 'c',

  async run(scene: Scene) {
    const cluster = await scene.cluster();
    const service = await scene.service(always(200));
    const gateway = await scene.gateway({
      phase: 7,
      name: 'phase 7',
      service,
      redisUrl: cluster.url,
      whenRedisFails: 'reject',
      trustedProxies: ['127.0.0.1'],
    });
    const addresses = Array.from({ length: clients }, (_, i) => `203.0.113.${i + 1}`);
    const askAll = () =>
      Promise.all(
        addresses.map((address) =>
          gateway.get('/api/inventory/1', { headers: { 'X-Forwarded-For': address } }),
        ),
      );
    const refused = (answers: DrillResponse[]) =>
      addresses.filter((_, i) => (answers[i] as DrillResponse).status === 503);

    scene.say('clients', `one request each: ${tally(await askAll())}`);
    const primary = await cluster.primaryOf(slotOfKilled);
    scene.say('redis', `the primary of slot ${slotOfKilled} is killed`);
    await primary.kill();
    await gateway.logged('redis lost');
    const lostAt = performance.now();
    const during = [await askAll(), await askAll(), await askAll()];
    for (const answers of during) scene.say('clients', `one request each: ${tally(answers)}`);
    await gateway.logged('redis found');
    const seconds = ((performance.now() - lostAt) / 1000).toFixed(1);
    const after = await askAll();
    scene.say('clients', `one request each: ${tally(after)}`);

    const [first = [], ...others] = during.map(refused);
    const isSame = others.every((list) => list.join() === first.join());
    const isThird = first.length > clients / 6 && first.length < clients / 2;
    let answer: string | undefined;
    if (first.length === 0) answer = 'a';
    else if (first.length === clients) answer = 'b';
    else if (isSame && isThird && refused(after).length === 0) answer = 'c';
    else if (!isSame) answer = 'd';
    return {
      answer,
      measured: [
        `${first.length} of ${clients} clients got 503 until the replica had taken over, always the same ones.`,
        `It took over ${seconds} s after the gateway had lost the shard. After that ${refused(after).length} clients got 503.`,
      ],
    };
  },

  explain:
    'The counter of a client lies on one slot, and the slot on one shard. So the failure of a shard is the failure of its ' +
    'clients alone. The others are counted as before, because the gateway has a connection and a state for ' +
    'each shard. The replica waits until most primaries agree that the old one is gone: that is cluster-node-timeout, ' +
    'here one second, and a vote. Then the gateway finds it in the map of another node. With ' +
    'cluster-require-full-coverage yes, the default of Redis, the answer would be b.',
  code: [
    { file: 'cluster.ts', marker: 'this.#owners[slotOf(bucket)]', why: 'the shard of a counter' },
    { file: 'shard.ts', marker: 'this.windows = new FixedWindows', why: 'each shard has a state of its own' },
    {
      file: 'cluster.ts',
      marker: 'if (!shard.ahead) await this.#readMap()',
      why: 'before each attempt, other nodes are asked',
    },
  ],
  next: [
    'npm run drill -- redis-down               the same with one Redis',
    'phases/7-redis-cluster/shard.ts           the class Shard',
  ],
};
