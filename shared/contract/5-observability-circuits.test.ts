import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Admin, startObserved } from './harness/admin.ts';
import { send, until } from './harness/client.ts';
import { startFaultyService } from './harness/faulty-service.ts';
import { configFor, type Gateway } from './harness/gateway.ts';
import { type Lane, type Lanes, makeLanes } from './harness/lanes.ts';

const threshold = 3;
const cooldownMs = 1_500;
// Longer than a timer of Node can be told to wait: one that is set to it is due at once.
const endlessMs = 3_000_000_000;
// What a busy machine may add to a time that is promised.
const noiseMs = 3_000;

let lanes: Lanes;
/** Its cooldown is short. */
let quick: { gateway: Gateway; admin: Admin };
/** Its cooldown is longer than a month. */
let endless: { gateway: Gateway; admin: Admin };
const closed = { state: 'closed', failuresInARow: 0, closesInMs: 0 };

beforeAll(async () => {
  const service = await startFaultyService();
  lanes = makeLanes('lane', 10, service.url, 10_000);
  const start = (length: number) =>
    startObserved(
      configFor({ ...lanes.parts, circuitBreaker: { failureThreshold: threshold, cooldownMs: length } }, 5),
    );
  [quick, endless] = await Promise.all([start(cooldownMs), start(endlessMs)]);
});

afterAll(async () => {
  await Promise.all([quick?.gateway.stop(), endless?.gateway.stop()]);
});

async function call(lane: Lane, word: string, expected: number, through = quick): Promise<void> {
  const { status } = await send(through.gateway, `${lane.prefix}/${word}`, { headers: lane.headers });
  expect(status).toBe(expected);
}

async function trip(lane: Lane, through = quick): Promise<void> {
  for (let i = 0; i < threshold; i++) await call(lane, '500', 500, through);
}

/** What /circuits says of one service. */
async function circuit(lane: Lane, through = quick) {
  const { status, body } = await through.admin.ask('/circuits');
  expect(status).toBe(200);
  return (body as Record<string, { state: string; failuresInARow: number; closesInMs: number }>)[
    lane.service
  ];
}

/** The three metrics of one circuit. */
async function figures(lane: Lane, through = quick) {
  const metrics = await through.admin.scrape();
  const { service } = lane;
  return {
    open: metrics.find('gateway_circuit_open', { service })[0]?.value,
    openings: metrics.find('gateway_circuit_openings_total', { service })[0]?.value,
    rejections: metrics.find('gateway_circuit_rejections_total', { service })[0]?.value,
  };
}

const logged = (message: string, { service }: Lane, through = quick) =>
  through.gateway.log().filter((line) => line.msg === message && line.service === service);

describe('a circuit', () => {
  it('of every service stands in /circuits, closed at first', async () => {
    const { status, body } = await quick.admin.ask('/circuits');
    expect(status).toBe(200);
    const services = Object.keys(lanes.parts.services);
    expect(body).toEqual(Object.fromEntries(services.map((name) => [name, closed])));
  });

  it('tells its failures in a row, which a success sets back', async () => {
    const lane = lanes.next();
    await call(lane, '500', 500);
    await call(lane, 'reset', 502);
    await expect.poll(() => circuit(lane)).toEqual({ ...closed, failuresInARow: 2 });
    await call(lane, '404', 404);
    await expect.poll(() => circuit(lane)).toEqual(closed);
    expect(await figures(lane)).toEqual({ open: 0, openings: 0, rejections: 0 });
  });

  it('that opens says so, with the time that is left, and counts what it refuses', async () => {
    const lane = lanes.next();
    await trip(lane, endless);
    const [one, two] = [await circuit(lane, endless), await circuit(lane, endless)];
    for (const it of [one, two]) {
      expect(it).toEqual({ state: 'open', failuresInARow: 0, closesInMs: expect.any(Number) });
      expect(Number.isInteger(it?.closesInMs)).toBe(true);
      expect(it?.closesInMs).toBeLessThanOrEqual(endlessMs);
      expect(it?.closesInMs).toBeGreaterThan(endlessMs - 60_000);
    }
    expect(two?.closesInMs).toBeLessThanOrEqual(one?.closesInMs as number);
    expect(await figures(lane, endless)).toEqual({ open: 1, openings: 1, rejections: 0 });
    for (let i = 0; i < 4; i++) await call(lane, '200', 503, endless);
    expect(await figures(lane, endless)).toEqual({ open: 1, openings: 1, rejections: 4 });
  });

  it('counts one opening when many calls fail together', async () => {
    const lane = lanes.next();
    const { headers, prefix } = lane;
    const calls = Array.from({ length: 4 * threshold }, () =>
      send(endless.gateway, `${prefix}/500`, { headers }),
    );
    const statuses = (await Promise.all(calls)).map(({ status }) => status);
    const refused = statuses.filter((status) => status === 503).length;
    expect(await figures(lane, endless)).toEqual({ open: 1, openings: 1, rejections: refused });
    expect(await circuit(lane, endless)).toMatchObject({ state: 'open', failuresInARow: 0 });
  });

  it('closes without any traffic: nobody calls and nobody scrapes, and the log says so in time', async () => {
    const lane = lanes.next();
    await trip(lane);
    const is = (message: string) => (line: Record<string, unknown>) =>
      line.msg === message && line.service === lane.service;
    const opening = await quick.gateway.waitForLog(is('circuit opened'));
    expect(opening).toMatchObject({ level: 40, cooldownMs });
    const closing = await quick.gateway.waitForLog(is('circuit closed'), cooldownMs + 2 * noiseMs);
    expect(closing.level).toBe(30);
    const ms = Number(closing.time) - Number(opening.time);
    expect(ms).toBeGreaterThan(cooldownMs - 50);
    expect(ms).toBeLessThan(cooldownMs + noiseMs);
    // What comes after does not notice it a second time.
    await call(lane, '200', 200);
    expect(await circuit(lane)).toEqual(closed);
    expect(await figures(lane)).toEqual({ open: 0, openings: 1, rejections: 0 });
    expect([logged('circuit opened', lane).length, logged('circuit closed', lane).length]).toEqual([1, 1]);
  });

  it('is told as it is at the moment of the scrape, without any traffic', async () => {
    const lane = lanes.next();
    const before = Date.now();
    await trip(lane);
    const opened = Date.now();
    const seen: Array<{ asked: number; answered: number; open: number | undefined; state: string }> = [];
    await until(
      async () => {
        const asked = Date.now();
        const { open } = await figures(lane);
        const state = (await circuit(lane))?.state as string;
        seen.push({ asked, answered: Date.now(), open, state });
        return open === 0 && state === 'closed';
      },
      'the circuit closes',
      cooldownMs + 2 * noiseMs,
    );
    expect(seen[0]).toMatchObject({ open: 1, state: 'open' });
    for (const { asked, answered, open, state } of seen) {
      if (answered < before + cooldownMs - 5) expect([open, state]).toEqual([1, 'open']);
      if (asked > opened + cooldownMs + 5) expect([open, state]).toEqual([0, 'closed']);
    }
  });

  it('that opens again is counted again, and every state is logged once', async () => {
    const lane = lanes.next();
    await trip(lane);
    await expect.poll(() => circuit(lane), { timeout: cooldownMs + noiseMs }).toEqual(closed);
    await trip(lane);
    expect(await circuit(lane)).toMatchObject({ state: 'open', failuresInARow: 0 });
    expect(await figures(lane)).toEqual({ open: 1, openings: 2, rejections: 0 });
    const story = quick.gateway
      .log()
      .filter(({ msg, service }) => service === lane.service && String(msg).startsWith('circuit'))
      .map(({ msg }) => msg);
    expect(story).toEqual(['circuit opened', 'circuit closed', 'circuit opened']);
  });

  it('that is open holds up no stop, and stays open for the whole of a very long cooldown', async () => {
    const lane = lanes.taken[1] as Lane;
    expect(await circuit(lane, endless)).toMatchObject({ state: 'open' });
    expect(logged('circuit closed', lane, endless)).toEqual([]);
    const { code, ms } = await endless.gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(8_000);
    expect(endless.gateway.stderr()).toBe('');
  });
});
