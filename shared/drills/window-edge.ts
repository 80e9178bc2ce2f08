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
  about: 'What a fixed window lets pass around its edge',
  setUp: [
    `A caller without a key may send ${limit} requests per window of ${windowMs / 1000} seconds.`,
    'Its first request opens the window, and then it is quiet until shortly before the window ends.',
    `It sends ${burst} requests at once right before the end, and ${burst} more right after it.`,
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
    scene.say('client', `one request opens the window: ${opener.status}`);

    // The window has begun between these two points in time.
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
        `${passed} of ${2 * burst} requests passed within ${ms} ms, under a limit of ${limit} per ${windowMs} ms.`,
      ],
    };
  },

  explain:
    `The window is fixed: it knows how many requests came since it opened, not when. So ${limit - 1} pass at its end, ` +
    `the next window opens with the first request after it, and ${limit} more pass at once: nearly twice the limit in a ` +
    'fraction of the window. That is the price of one counter per client and one round trip. Over many windows the ' +
    'limit holds; a service that cannot bear the double burst needs a sliding window or a token bucket.',
  code: [
    {
      file: 'fixed-window.lua',
      marker: 'if left < 0 then',
      why: 'the first request after the end opens a window',
    },
    {
      file: 'fixed-window.lua',
      marker: "redis.call('INCR', KEYS[1])",
      why: 'all that is known of a window: a count',
    },
    { file: 'rate-limit.ts', marker: 'if (window.count > limit)', why: 'the decision' },
  ],
  next: [
    'npm run drill -- two-gateways             where the counter lives',
    'phases/3-rate-limiting/fixed-window.lua   the whole algorithm, in a dozen lines',
  ],
};
