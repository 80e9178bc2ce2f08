import { countOf } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Gateway } from './runner/gateway.ts';
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
    `Two gateways of phase 3 share the load, and a caller may send ${limit} requests per minute.`,
    `It sends ${requests} requests, to one gateway and the other in turn.`,
    'In the first round each gateway counts in its own memory, in the second round both count in one Redis.',
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

    const round = async (gateways: Array<[string, Gateway]>) => {
      const passedAt = new Map(gateways.map(([name]) => [name, 0]));
      for (let sent = 0; sent < requests; sent++) {
        const [name, gateway] = gateways[sent % gateways.length] as [string, Gateway];
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
    'A counter in the memory of a process holds for that process. Every gateway more raises the limit, and so does ' +
    'every restart. One Redis sees all requests, and the script counts and answers in one step, so no two gateways ' +
    'can both take the last place. Phase 3 without REDIS_URL says so in its log when it starts.',
  code: [
    {
      file: 'redis.ts',
      marker: 'redis = new RedisMock()',
      why: 'without REDIS_URL: a counter for this process',
    },
    { file: 'redis.ts', marker: 'redis = new Redis(url, OPTIONS)', why: 'with it: one for all' },
    { file: 'fixed-window.lua', marker: "redis.call('INCR', KEYS[1])", why: 'read and write in one step' },
  ],
  next: [
    'npm run drill -- redis-down   what the shared counter costs',
    'npm run diff -- 2 3           all that phase 3 adds',
  ],
};
