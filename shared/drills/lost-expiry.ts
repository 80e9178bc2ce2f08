import { countOf, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

const limit = 3;
const windowMs = 2_000;
const bucket = 'gateway:{address:127.0.0.1}';
const recipe = 'recipe:{address:127.0.0.1}';

export const lostExpiry: Drill = {
  name: 'lost-expiry',
  phase: 3,
  about: 'A counter in Redis loses its expiry. Is its client refused forever?',
  needsRedis: true,
  setUp: [
    `A client has used up its ${limit} requests per window of ${windowMs / 1000} seconds.`,
    'Then its counter in Redis loses its expiry, as it can after a crash between two commands or a manual restore.',
    'The client waits until the window should have ended, and then keeps sending requests.',
  ],
  question: 'When is a request of this client served again?',
  choices: {
    a: 'At its next request',
    b: 'One window after its next request',
    c: 'One window after its last request: refused requests extend the wait',
    d: 'Never, unless an operator deletes the counter',
  },
  expected: 'a',

  async run(scene: Scene) {
    const redis = await scene.redis();
    const service = await scene.service(always(200));
    const gateway = await scene.gateway({
      phase: 3,
      name: 'phase 3',
      service,
      redisUrl: redis.url,
      limit: { limit, windowMs },
    });
    const get = () => gateway.get('/api/inventory/1');
    const timeLeft = (key: string) => redis.command('PTTL', key).then(Number);

    const used = await gateway.burst(limit + 1, '/api/inventory/1');
    const opened = performance.now();
    scene.say('client', `${limit + 1} requests: ${tally(used)}`);
    await redis.command('PERSIST', bucket);
    scene.say('redis', `PERSIST ${bucket}: its PTTL is ${await timeLeft(bucket)}, which means no expiry`);
    await redis.command('SET', recipe, String(limit + 1));
    scene.say('redis', 'for comparison, a counter of the usual recipe: EXPIRE only when INCR returns 1');
    await scene.pass(opened + windowMs - performance.now());
    scene.say('client', 'the window should be over now');

    const asked = performance.now();
    let answer = await get();
    const atOnce = answer.status === 200;
    scene.say(
      'client',
      `sends a request: ${answer.status}, Retry-After ${answer.headers.get('retry-after')}`,
    );
    scene.say('redis', `the PTTL of the counter is ${await timeLeft(bucket)}`);
    while (answer.status !== 200 && performance.now() - asked < 2 * windowMs) {
      await scene.pass(250);
      // What the usual recipe does: the counter is not 1, so it never gets an expiry.
      if ((await redis.command('INCR', recipe)) === 1)
        await redis.command('PEXPIRE', recipe, String(windowMs));
      answer = await get();
      scene.say('client', `sends a request: ${answer.status}`);
    }
    const waitedMs = Math.round(performance.now() - asked);
    const forgotten = await timeLeft(recipe);
    scene.say('redis', `the counter of the usual recipe has a PTTL of ${forgotten}`);

    const served = countOf(200, [answer]) === 1;
    return {
      answer: atOnce ? 'a' : served ? 'b' : (await timeLeft(bucket)) < 0 ? 'd' : 'c',
      measured: [
        `The client was ${served ? 'served' : 'still refused'} ${waitedMs} ms after its next request; the window is ${windowMs} ms.`,
        `The counter of the usual recipe still has no expiry (PTTL ${forgotten}): its client would be refused forever.`,
      ],
    };
  },

  explain:
    'The usual recipe sets the expiry only when INCR returns 1. If the expiry is lost after that, no later request sets ' +
    'it again, and the client is refused until an operator deletes the counter. The script of phase 3 reads the remaining ' +
    'time (PTTL) on every request, and increments only a counter that has some. It replaces every other one by a new ' +
    'window, so the next request is served. SET writes the count and the expiry of a window together, so none can exist ' +
    'without the other.',
  code: [
    { file: 'fixed-window.lua', marker: "redis.call('PTTL', KEYS[1])", why: 'read on every request' },
    {
      file: 'fixed-window.lua',
      marker: 'if left >= 0 and left <= window then',
      why: 'false for a new counter and for one without an expiry',
    },
    {
      file: 'fixed-window.lua',
      marker: "redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])",
      why: 'opens a window: count and expiry together',
    },
  ],
  next: [
    'npm run drill -- redis-down        what happens when all counters are lost',
    'phases/3-rate-limiting/README.md   "Traps it avoids"',
  ],
};
