import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, startObserved } from './harness/admin.ts';
import { send, until } from './harness/client.ts';
import { startFaultyService } from './harness/faulty-service.ts';
import { configFor, type Gateway } from './harness/gateway.ts';
import { makeTenants, type Tenant, type Tenants } from './harness/tenants.ts';

const threshold = 3;
const cooldownMs = 1_500;
// Longer than the maximum delay of setTimeout() (2,147,483,647 ms). Node fires a timer with a longer delay at once.
const endlessMs = 3_000_000_000;
// Added to the time limits of the contract, because a busy machine is late.
const noiseMs = 3_000;

let tenants: Tenants;
/** Its cooldown is short. */
let quick: { gateway: Gateway; admin: Admin };
/** Its cooldown is longer than a month. */
let endless: { gateway: Gateway; admin: Admin };
const closed = { state: 'closed', failuresInARow: 0, closesInMs: 0 };

beforeAll(async () => {
  const service = await startFaultyService();
  tenants = makeTenants('tenant', 10, service.url, 10_000);
  const start = (length: number) =>
    startObserved(
      configFor({ ...tenants.parts, circuitBreaker: { failureThreshold: threshold, cooldownMs: length } }, 5),
    );
  [quick, endless] = await Promise.all([start(cooldownMs), start(endlessMs)]);
});

afterAll(async () => {
  await Promise.all([quick?.gateway.stop(), endless?.gateway.stop()]);
});

async function call(tenant: Tenant, word: string, expected: number, through = quick): Promise<void> {
  const { status } = await send(through.gateway, `${tenant.prefix}/${word}`, { headers: tenant.headers });
  expect(status).toBe(expected);
}

async function trip(tenant: Tenant, through = quick): Promise<void> {
  for (let i = 0; i < threshold; i++) await call(tenant, '500', 500, through);
}

/** The entry of one service in /circuits. */
async function circuit(tenant: Tenant, through = quick) {
  const { status, body } = await through.admin.ask('/circuits');
  expect(status).toBe(200);
  return (body as Record<string, { state: string; failuresInARow: number; closesInMs: number }>)[
    tenant.service
  ];
}

/** The three metrics of one circuit. */
async function figures(tenant: Tenant, through = quick) {
  const metrics = await through.admin.scrape();
  const { service } = tenant;
  return {
    open: metrics.find('gateway_circuit_open', { service })[0]?.value,
    openings: metrics.find('gateway_circuit_openings_total', { service })[0]?.value,
    rejections: metrics.find('gateway_circuit_rejections_total', { service })[0]?.value,
  };
}

const logged = (message: string, { service }: Tenant, through = quick) =>
  through.gateway.log().filter((line) => line.msg === message && line.service === service);

describe('a circuit', () => {
  test('of every service stands in /circuits, closed at first', async () => {
    const { status, body } = await quick.admin.ask('/circuits');
    expect(status).toBe(200);
    const services = Object.keys(tenants.parts.services);
    expect(body).toEqual(Object.fromEntries(services.map((name) => [name, closed])));
  });

  test('tells its failures in a row, which a success sets back', async () => {
    const tenant = tenants.next();
    await call(tenant, 'reset', 502);
    await call(tenant, '500', 500);
    await expect.poll(() => circuit(tenant)).toEqual({ ...closed, failuresInARow: 2 });
    await call(tenant, '404', 404);
    await expect.poll(() => circuit(tenant)).toEqual(closed);
    expect(await figures(tenant)).toEqual({ open: 0, openings: 0, rejections: 0 });
  });

  test('that opens says so, with the time that is left, and counts what it refuses', async () => {
    const tenant = tenants.next();
    await trip(tenant, endless);
    const [one, two] = [await circuit(tenant, endless), await circuit(tenant, endless)];
    for (const test of [one, two]) {
      expect(test).toEqual({ state: 'open', failuresInARow: 0, closesInMs: expect.any(Number) });
      expect(Number.isInteger(test?.closesInMs)).toBe(true);
      expect(test?.closesInMs).toBeLessThanOrEqual(endlessMs);
      expect(test?.closesInMs).toBeGreaterThan(endlessMs - 60_000);
    }
    expect(two?.closesInMs).toBeLessThanOrEqual(one?.closesInMs as number);
    expect(await figures(tenant, endless)).toEqual({ open: 1, openings: 1, rejections: 0 });
    for (let i = 0; i < 4; i++) await call(tenant, '200', 503, endless);
    expect(await figures(tenant, endless)).toEqual({ open: 1, openings: 1, rejections: 4 });
  });

  test('counts one opening when many calls fail together', async () => {
    const tenant = tenants.next();
    const { headers, prefix } = tenant;
    const calls = Array.from({ length: 4 * threshold }, () =>
      send(endless.gateway, `${prefix}/500`, { headers }),
    );
    const statuses = (await Promise.all(calls)).map(({ status }) => status);
    const refused = statuses.filter((status) => status === 503).length;
    expect(await figures(tenant, endless)).toEqual({ open: 1, openings: 1, rejections: refused });
    expect(await circuit(tenant, endless)).toMatchObject({ state: 'open', failuresInARow: 0 });
  });

  test('is told as it is at the moment of the scrape, without any traffic', async () => {
    const tenant = tenants.next();
    const before = Date.now();
    await trip(tenant);
    const opened = Date.now();
    const seen: Array<{ asked: number; answered: number; open: number | undefined; state: string }> = [];
    await until(
      async () => {
        const asked = Date.now();
        const { open } = await figures(tenant);
        const state = (await circuit(tenant))?.state as string;
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

  test('that opens again is counted again, and every state is logged once', async () => {
    const tenant = tenants.next();
    await trip(tenant);
    await expect.poll(() => circuit(tenant), { timeout: cooldownMs + noiseMs }).toEqual(closed);
    await trip(tenant);
    expect(await circuit(tenant)).toMatchObject({ state: 'open', failuresInARow: 0 });
    expect(await figures(tenant)).toEqual({ open: 1, openings: 2, rejections: 0 });
    const story = () =>
      quick.gateway
        .log()
        .filter(({ msg, service }) => service === tenant.service && String(msg).startsWith('circuit'))
        .map(({ msg }) => msg);
    await until(() => story().length >= 3, 'every state is in the log');
    expect(story()).toEqual(['circuit opened', 'circuit closed', 'circuit opened']);
  });

  test('that is open holds up no stop, and stays open for the whole of a very long cooldown', async () => {
    const tenant = tenants.taken[1] as Tenant;
    expect(await circuit(tenant, endless)).toMatchObject({ state: 'open' });
    expect(logged('circuit closed', tenant, endless)).toEqual([]);
    const { code, ms } = await endless.gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(8_000);
    expect(endless.gateway.stderr()).toBe('');
  });
});
