import { countOf } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { DrillGateway } from './runner/gateway.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

const limit = 10;
const requests = 30;

export const twoGateways: Drill = {
  name: 'two-gateways',
  phase: 3,
  about: 'A limit of 10, two gateways: counters in memory, then in Redis',
  needsRedis: true,
  setUp: [
    `Two gateways of phase 3 share the load, and a client may send ${limit} requests per minute.`,
    `It sends ${requests} requests, alternating between the two gateways.`,
    'In the first round each gateway counts in its own memory; in the second round both count in one Redis.',
  ],
  question: `How many of the ${requests} requests pass in the first round, and how many in the second?`,
  choices: {
    a: `${limit}, and ${limit} again`,
    b: `${2 * limit}, and ${2 * limit} again`,
    c: `${limit}, then ${2 * limit}`,
    d: `${2 * limit}, then ${limit}`,
  },
  expected: 'd',

  async run(scene: Scene) {
    const redis = await scene.redis();
    const service = await scene.service(always(200));
    const start = (name: string, redisUrl?: string) =>
      scene.gateway({ phase: 3, name, service, redisUrl, limit: { limit, windowMs: 60_000 } });
    const [a, b, c, d] = await Promise.all([
      start('gateway A'),
      start('gateway B'),
      start('gateway C', redis.url),
      start('gateway D', redis.url),
    ]);

    const round = async (gateways: Array<[string, DrillGateway]>) => {
      const passedAt = new Map(gateways.map(([name]) => [name, 0]));
      for (let sent = 0; sent < requests; sent++) {
        const [name, gateway] = gateways[sent % gateways.length] as [string, DrillGateway];
        const answer = await gateway.get('/api/inventory/1');
        passedAt.set(name, (passedAt.get(name) ?? 0) + countOf(200, [answer]));
      }
      for (const [name, passed] of passedAt) scene.say(name, `let ${passed} of ${requests / 2} pass`);
      return [...passedAt.values()].reduce((sum, passed) => sum + passed, 0);
    };
    scene.say('client', `${requests} requests to A and B, which count in memory`);
    const inMemory = await round([
      ['gateway A', a],
      ['gateway B', b],
    ]);
    scene.say('client', `${requests} requests to C and D, which share a Redis`);
    const shared = await round([
      ['gateway C', c],
      ['gateway D', d],
    ]);
    const key = 'gateway:{address:127.0.0.1}';
    scene.say('redis', `GET ${key} is ${await redis.command('GET', key)}`);

    const answers = { '10 10': 'a', '20 20': 'b', '10 20': 'c', '20 10': 'd' };
    return {
      answer: answers[`${inMemory} ${shared}` as keyof typeof answers],
      measured: [`With counters in memory ${inMemory} of ${requests} passed, with one Redis ${shared}.`],
    };
  },

  explain:
    'A counter in the memory of a process counts only the requests of this process. Each additional gateway raises the ' +
    'total limit, and each restart resets the counter. One Redis counts all requests. The script increments and returns ' +
    'the counter in one atomic step, so two gateways cannot both accept the last request of the limit. Without REDIS_URL, ' +
    'phase 3 logs a warning when it starts.',
  code: [
    {
      file: 'redis.ts',
      marker: 'redis = new RedisMock(',
      why: 'without REDIS_URL: counters for this process only',
    },
    {
      file: 'redis.ts',
      marker: 'const redis = new Redis(',
      why: 'with REDIS_URL: counters for all gateways',
    },
    { file: 'fixed-window.lua', marker: "redis.call('INCR', KEYS[1])", why: 'read and write in one step' },
  ],
  next: [
    'npm run drill -- redis-down   what happens when Redis is not there',
    'npm run diff -- 2 3           everything that phase 3 adds',
  ],
};
