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
  about: 'A counter in Redis loses its expiry. Is its client locked out for ever?',
  needsRedis: true,
  setUp: [
    `A caller has used up its ${limit} requests per window of ${windowMs / 1000} seconds.`,
    'Then its counter in Redis loses its expiry, as after a crash between two commands, or a restore by hand.',
    'The caller waits until the window would be over, and goes on asking.',
  ],
  question: 'When is it served again?',
  choices: {
    a: 'With its very next request: the window is over',
    b: 'One window after its next request',
    c: 'One window after its last request: refused ones extend the wait',
    d: 'Never, until somebody deletes the counter',
  },
  expected: 'b',

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
    scene.say('redis', `PERSIST ${bucket}: its PTTL is ${await timeLeft(bucket)}, which means none`);
    await redis.command('SET', recipe, String(limit + 1));
    scene.say('redis', 'beside it, a counter for the usual recipe: EXPIRE only when INCR gives 1');
    await scene.pass(opened + windowMs - performance.now());
    scene.say('client', 'the window would be over now');

    const asked = performance.now();
    let answer = await get();
    const atOnce = answer.status === 200;
    scene.say('client', `asks again: ${answer.status}, Retry-After ${answer.headers.get('retry-after')}`);
    scene.say('redis', `the PTTL of the counter is ${await timeLeft(bucket)}`);
    while (answer.status !== 200 && performance.now() - asked < 2 * windowMs) {
      await scene.pass(250);
      // What the usual recipe does: the counter is not 1, so it never gets an expiry.
      if ((await redis.command('INCR', recipe)) === 1)
        await redis.command('PEXPIRE', recipe, String(windowMs));
      answer = await get();
      scene.say('client', `asks again: ${answer.status}`);
    }
    const waitedMs = Math.round(performance.now() - asked);
    const forgotten = await timeLeft(recipe);
    scene.say('redis', `the counter of the usual recipe has a PTTL of ${forgotten}`);

    const served = countOf(200, [answer]) === 1;
    return {
      answer: atOnce ? 'a' : served ? 'b' : (await timeLeft(bucket)) < 0 ? 'd' : 'c',
      measured: [
        `${served ? 'Served' : 'Still refused'} ${waitedMs} ms after the next request; the window is ${windowMs} ms.`,
        `The counter of the usual recipe still has no expiry (PTTL ${forgotten}): it would refuse for ever.`,
      ],
    };
  },

  explain:
    'The usual recipe sets the expiry when INCR returns 1. If anything goes wrong after that, nobody ever sets it again, ' +
    'and one client is locked out until somebody looks into Redis. The script of phase 3 asks for the time left on every ' +
    'request and sets an expiry whenever there is none: a sick counter heals with the next request, at the price of one ' +
    'more window. It all happens inside one script, so nothing can come between count and expiry in the first place.',
  code: [
    { file: 'fixed-window.lua', marker: "redis.call('PTTL', KEYS[1])", why: 'asked on every request' },
    {
      file: 'fixed-window.lua',
      marker: 'if left < 0 then',
      why: 'true for a new counter and for a sick one',
    },
    { file: 'fixed-window.lua', marker: "redis.call('PEXPIRE', KEYS[1], left)", why: 'the cure' },
  ],
  next: [
    'npm run drill -- redis-down        when all counters are lost',
    'phases/3-rate-limiting/README.md   "Traps it avoids"',
  ],
};
