import { countOf, type DrillResponse, slowest, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { DrillGateway } from './runner/gateway.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

const limit = 10;
const requests = 20;
const noticeableMs = 150;

export const redisDown: Drill = {
  name: 'redis-down',
  phase: 3,
  about: 'Redis is killed. What do clients get, and how long do they wait?',
  needsRedis: true,
  setUp: [
    `Two gateways of phase 3 count in one Redis, with a limit of ${limit} requests per minute; one has ` +
      '"whenRedisFails": "allow", the other "reject".',
    `Redis is killed, and a client sends ${requests} requests to each gateway, one after another.`,
    'Then Redis is started again, without its data.',
  ],
  question: 'What does the client get while Redis is down?',
  choices: {
    a: `${requests} x 200 from "allow" and ${requests} x 503 from "reject", and no request waits`,
    b: `${requests} x 200 from "allow" and ${requests} x 503 from "reject", and every request waits 200 ms for Redis`,
    c: `${limit} x 200 from both, then 429: each gateway counts in its own memory for a while`,
    d: '500 from both: a gateway cannot work without its counters',
  },
  expected: 'a',

  async run(scene: Scene) {
    const redis = await scene.redis();
    const service = await scene.service(always(200));
    const start = (name: string, whenRedisFails: 'allow' | 'reject') =>
      scene.gateway({
        phase: 3,
        name,
        service,
        redisUrl: redis.url,
        whenRedisFails,
        limit: { limit, windowMs: 60_000 },
      });
    const [allow, reject] = await Promise.all([start('allow', 'allow'), start('reject', 'reject')]);
    const oneByOne = async (gateway: DrillGateway, name: string, count: number) => {
      const answers: DrillResponse[] = [];
      for (let i = 0; i < count; i++) answers.push(await gateway.get('/api/inventory/1'));
      scene.say(
        'client',
        `${count} requests to "${name}": ${tally(answers)}; the slowest took ${slowest(answers)} ms`,
      );
      return answers;
    };
    await oneByOne(allow, 'allow', 4);
    await oneByOne(reject, 'reject', 4);

    scene.say('redis', 'is killed');
    await redis.kill();
    const allowed = await oneByOne(allow, 'allow', requests);
    const rejected = await oneByOne(reject, 'reject', requests);

    await redis.restart();
    scene.say('redis', 'is running again, without its data');
    await Promise.all([allow.logged('redis found'), reject.logged('redis found')]);
    await oneByOne(allow, 'allow', limit + 2);

    const outage = [...allowed, ...rejected];
    const waited = outage.filter(({ ms }) => ms >= noticeableMs).length;
    const asPromised = countOf(200, allowed) === requests && countOf(503, rejected) === requests;
    let answer: string | undefined;
    if (asPromised) answer = waited > outage.length / 2 ? 'b' : 'a';
    else if (countOf(429, outage) > 0) answer = 'c';
    else if (countOf(500, outage) === outage.length) answer = 'd';
    return {
      answer,
      measured: [
        `During the outage: "allow" ${tally(allowed)}, "reject" ${tally(rejected)}.`,
        `${waited} of ${outage.length} requests took ${noticeableMs} ms or more; the slowest took ${slowest(outage)} ms.`,
      ],
    };
  },

  explain:
    'A Redis that is not running is the easy failure. Its connections are closed, so every command fails at once. By ' +
    'default, ioredis would queue commands until it is connected again; enableOfflineQueue: false switches this off. After ' +
    'the first failure, requests do not try Redis any more, and the gateway tries to connect in the background, at least every 2 s. ' +
    'The operator chooses what happens to uncounted requests: "allow" if a response matters more than the limit, "reject" ' +
    'if the limit protects a service. The new Redis is empty, so every client starts with a new window.',
  code: [
    {
      file: 'redis.ts',
      marker: 'enableOfflineQueue: false',
      why: 'a command without a connection fails at once',
    },
    {
      file: 'fixed-window.ts',
      marker: 'if (this.#down) return null',
      why: 'while Redis is down, no request waits',
    },
    { file: 'rate-limit.ts', marker: "config.whenRedisFails === 'allow'", why: 'the choice of the operator' },
  ],
  next: [
    'npm run drill -- redis-hung              the harder failure: Redis does not answer',
    'phases/3-rate-limiting/fixed-window.ts   the class FixedWindows',
  ],
};
