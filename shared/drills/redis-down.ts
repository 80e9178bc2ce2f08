import { type Answer, countOf, slowest, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Gateway } from './runner/gateway.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

const limit = 10;
const requests = 20;
const noticeableMs = 150;

export const redisDown: Drill = {
  name: 'redis-down',
  phase: 3,
  about: 'Redis dies. What do callers get, and how long do they wait?',
  needsRedis: true,
  setUp: [
    `Two gateways of phase 3 count in one Redis, with a limit of ${limit} requests per minute; one has ` +
      '"whenRedisFails": "allow", the other "reject".',
    `Redis is killed, and a caller sends ${requests} requests to each gateway, one after another.`,
    'Then Redis is started again, empty.',
  ],
  question: 'What does the caller get while Redis is down?',
  choices: {
    a: `From "allow" ${requests} answers, from "reject" ${requests} refusals (503), and nobody waits`,
    b: `From "allow" ${requests} answers, from "reject" ${requests} refusals (503), and everybody waits 200 ms for Redis`,
    c: `From both ${limit} answers, then 429: they count in their own memory for a while`,
    d: '500 from both: without its counter a gateway can do nothing',
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
    const oneByOne = async (gateway: Gateway, name: string, count: number) => {
      const answers: Answer[] = [];
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
    scene.say('redis', 'is back, and empty');
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
    'A dead Redis is the easy failure: its connections break, so every command fails at once, because the queue that ' +
    'ioredis would keep for better times is off. From the first failure on, requests do not even try: a probe in the ' +
    'background asks every 250 ms whether Redis is back. What becomes of uncounted requests is for the operator to say: ' +
    '"allow" where an answer matters more than the limit, "reject" where the limit protects something. The new Redis is ' +
    'empty, so every caller has a fresh window.',
  code: [
    {
      file: 'redis.ts',
      marker: 'enableOfflineQueue: false',
      why: 'a command without a connection fails at once',
    },
    { file: 'redis.ts', marker: 'if (this.#lost) return null', why: 'while Redis is lost nobody waits' },
    { file: 'rate-limit.ts', marker: "config.whenRedisFails === 'allow'", why: 'the choice of the operator' },
  ],
  next: [
    'npm run drill -- redis-hung        the failure that is not easy',
    'phases/3-rate-limiting/redis.ts    the class FixedWindows',
  ],
};
