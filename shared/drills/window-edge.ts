import { countOf, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

const limit = 10;
const windowMs = 3_000;
const burst = 12;
// How long before the end of the window the first burst is sent.
const leadMs = 400;

export const windowEdge: Drill = {
  name: 'window-edge',
  phase: 3,
  about: 'How many requests pass around the end of a fixed window?',
  setUp: [
    `A client without a key may send ${limit} requests per window of ${windowMs / 1000} seconds.`,
    'Its first request starts the window. Then it sends nothing until shortly before the window ends.',
    `It sends ${burst} requests at once just before the end, and ${burst} more just after it.`,
  ],
  question: `How many of these ${2 * burst} requests pass?`,
  expected: String(limit - 1 + limit),

  async run(scene: Scene) {
    const service = await scene.service(always(200));
    const gateway = await scene.gateway({ phase: 3, name: 'phase 3', service, limit: { limit, windowMs } });
    const path = '/api/inventory/1';

    const earliest = performance.now();
    const opener = await gateway.get(path);
    const latest = performance.now();
    scene.say('client', `one request starts the window: ${opener.status}`);

    // The window started between `earliest` and `latest`.
    await scene.pass(earliest + windowMs - leadMs - performance.now());
    const begun = performance.now();
    const before = await gateway.burst(burst, path);
    scene.say('client', `${burst} at once, before the end: ${tally(before)}`);

    await scene.pass(latest + windowMs + 10 - performance.now());
    const after = await gateway.burst(burst, path);
    const ms = Math.round(performance.now() - begun);
    scene.say('client', `${burst} at once, after the end: ${tally(after)}`);

    const passed = countOf(200, before) + countOf(200, after);
    return {
      answer: String(passed),
      measured: [
        `${passed} of ${2 * burst} requests passed within ${ms} ms, with a limit of ${limit} per ${windowMs} ms.`,
      ],
    };
  },

  explain:
    `A fixed window stores how many requests came since it started, but not when they came. So ${limit - 1} requests pass ` +
    `at its end. The first request after the end starts the next window, and ${limit} requests pass at once: nearly twice ` +
    'the limit in a fraction of the window. In return, the limit needs only one counter per client and one round trip to ' +
    'Redis. Over many windows the limit holds. A service that cannot handle the double burst needs a sliding window or a ' +
    'token bucket.',
  code: [
    {
      file: 'fixed-window.lua',
      marker: "redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])",
      why: 'the first request after the end starts a window',
    },
    {
      file: 'fixed-window.lua',
      marker: "redis.call('INCR', KEYS[1])",
      why: 'a window stores only this count',
    },
    { file: 'rate-limit.ts', marker: 'window.count > limit', why: 'the decision' },
  ],
  next: [
    'npm run drill -- two-gateways             where the counter is stored',
    'phases/3-rate-limiting/fixed-window.lua   the whole algorithm, in a dozen lines',
  ],
};
