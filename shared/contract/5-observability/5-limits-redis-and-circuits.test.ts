// The metrics show what the gateway decided and why: each decision of the limit, whether Redis is up, and the
// state of each circuit. They are true at the moment of the scrape, also without traffic. /ready says when a
// gateway should get no requests.

import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Metrics } from '../../metrics/prometheus-text.ts';
import { freePort } from '../../process/ports.ts';
import { type Admin, startObserved } from '../harness/admin.ts';
import { connect, expectProblem, send, until } from '../harness/client.ts';
import { startFaultyService } from '../harness/faulty-service.ts';
import { configFor, type Gateway } from '../harness/gateway.ts';
import { type RedisServer, redisAvailable, startRedis } from '../harness/redis.ts';
import { makeTenants, type Tenant, type Tenants } from '../harness/tenants.ts';
import { countCalls, startUpstream, type Upstream } from '../harness/upstream.ts';

interface Observed {
  gateway: Gateway;
  admin: Admin;
}

const key = { 'X-API-Key': 'the-key' };
const decisions = 'gateway_rate_limit_decisions_total';
const all: Observed[] = [];
let service: Upstream;

beforeAll(async () => {
  service = await startUpstream();
});

afterAll(() => Promise.all(all.map(({ gateway }) => gateway.stop())));

async function start(whenRedisFails: 'allow' | 'reject', redisUrl: string): Promise<Observed> {
  const observed = await startObserved(
    configFor(
      {
        services: { a: { url: service.url, timeoutMs: 5_000 } },
        routes: [
          { prefix: '/a', service: 'a' },
          { prefix: '/locked', service: 'a', access: 'protected' },
        ],
        clients: [{ id: 'client-1', keySha256: [createHash('sha256').update('the-key').digest('hex')] }],
        rateLimit: {
          identified: { limit: 3, windowMs: 600_000 },
          anonymous: { limit: 2, windowMs: 600_000 },
          whenRedisFails,
        },
      },
      5,
    ),
    { env: { REDIS_URL: redisUrl } },
  );
  all.push(observed);
  return observed;
}

const ask = ({ gateway }: Observed, headers: Record<string, string> = {}, target = '/a/1') =>
  send(gateway, target, { headers });

if (!redisAvailable) {
  console.warn(
    'Suite 5: redis-server is not on PATH, so what needs a real Redis is skipped. ' +
      'Get it with: apt-get install redis-server, or brew install redis.',
  );
}

// Added to the time limits of the contract, because a busy machine is late.
const noiseMs = 1_500;

describe('with a limit', () => {
  let observed: Observed;

  beforeEach(async () => {
    observed = await start('allow', '');
    for (const status of [200, 200, 200, 429, 429]) expect((await ask(observed, key)).status).toBe(status);
    for (const status of [200, 200, 429]) expect((await ask(observed)).status).toBe(status);
  });

  test('every decision is counted by its class', async () => {
    const metrics = await observed.admin.expectSamples(decisions, { decision: 'allowed' }, [
      { labels: { class: 'identified', decision: 'allowed' }, value: 3 },
      { labels: { class: 'anonymous', decision: 'allowed' }, value: 2 },
    ]);
    expect(metrics.total(decisions, { class: 'identified', decision: 'limited' })).toBe(2);
    expect(metrics.total(decisions, { class: 'anonymous', decision: 'limited' })).toBe(1);
    expect(metrics.total(decisions)).toBe(8);
  });

  test('its refusals are counted by client', async () => {
    const reason = 'rate-limited';
    await observed.admin.expectSamples('gateway_refusals_total', {}, [
      { labels: { stage: 'limit', reason, client: 'client-1' }, value: 2 },
      { labels: { stage: 'limit', reason, client: 'anonymous' }, value: 1 },
    ]);
  });

  test('what earlier stages refuse is no decision', async () => {
    expectProblem(await ask(observed, { 'X-API-Key': 'wrong' }), 401, 'unknown-key');
    expectProblem(await ask(observed, {}, '/locked'), 401, 'key-required');
    expectProblem(await ask(observed, {}, '/nowhere'), 404, 'no-route');
    const metrics = await observed.admin.expectSamples('gateway_refusals_total', { stage: 'route' }, [
      { labels: { stage: 'route', reason: 'no-route', client: 'anonymous' }, value: 1 },
    ]);
    expect(metrics.total(decisions)).toBe(8);
  });

  test('the counting is timed', async () => {
    const counted = async () => (await observed.admin.scrape()).total('gateway_redis_duration_seconds_count');
    await until(async () => (await counted()) >= 8, 'all requests are timed');
    const { types, total } = await observed.admin.scrape();
    expect(types.get('gateway_redis_duration_seconds')).toBe('histogram');
    expect(total('gateway_redis_duration_seconds_count')).toBeGreaterThanOrEqual(8);
    expect(total('gateway_redis_duration_seconds_sum')).toBeGreaterThan(0);
  });
});

describe('without its Redis', () => {
  const unreached = async () => `redis://127.0.0.1:${await freePort()}`;
  const down = [{ labels: {}, value: 0 }];

  test('a gateway that allows is ready, and counts what it lets pass uncounted', async () => {
    const observed = await start('allow', await unreached());
    const { admin } = observed;
    for (let i = 0; i < 4; i++) expect((await ask(observed, key)).status).toBe(200);
    for (let i = 0; i < 3; i++) expect((await ask(observed)).status).toBe(200);
    await admin.expectSamples('gateway_redis_up', {}, down);
    await admin.expectSamples(decisions, {}, [
      { labels: { class: 'identified', decision: 'degraded_allowed' }, value: 4 },
      { labels: { class: 'anonymous', decision: 'degraded_allowed' }, value: 3 },
    ]);
    await admin.expectSamples('gateway_refusals_total', {}, []);
    expect(await admin.ask('/ready')).toEqual({ status: 200, body: { ready: true, missing: [] } });
  });

  test('a gateway that rejects is not ready, says what is missing, and counts what it refuses', async () => {
    const observed = await start('reject', await unreached());
    const { gateway, admin } = observed;
    const notReady = { status: 503, body: { ready: false, missing: ['redis'] } };
    await expect.poll(() => admin.ask('/ready')).toEqual(notReady);
    const reason = 'rate-limit-unavailable';
    for (let i = 0; i < 4; i++) expectProblem(await ask(observed, key), 503, reason);
    for (let i = 0; i < 3; i++) expectProblem(await ask(observed), 503, reason);
    await admin.expectSamples(decisions, {}, [
      { labels: { class: 'identified', decision: 'degraded_rejected' }, value: 4 },
      { labels: { class: 'anonymous', decision: 'degraded_rejected' }, value: 3 },
    ]);
    const metrics = await admin.expectSamples('gateway_refusals_total', {}, [
      { labels: { stage: 'limit', reason, client: 'client-1' }, value: 4 },
      { labels: { stage: 'limit', reason, client: 'anonymous' }, value: 3 },
    ]);
    expect(metrics.find('gateway_redis_up')).toEqual(down);
    expect(metrics.total('gateway_http_requests_total', { status: '503', source: 'gateway' })).toBe(7);
    // /health answers 200 while /ready answers 503.
    expect(await admin.ask('/health')).toEqual({ status: 200, body: { status: 'ok' } });
    expect((await send(gateway, '/health')).status).toBe(200);
    expect(await admin.ask('/ready')).toEqual(notReady);
  });
});

// Each test leaves Redis in another state, so each one has a Redis and gateways of its own.
describe.skipIf(!redisAvailable)('two gateways whose Redis comes and goes', () => {
  let redis: RedisServer;
  let service: Upstream;
  /** whenRedisFails is "allow". */
  let allowing: Observed;
  /** whenRedisFails is "reject". */
  let rejecting: Observed;

  beforeEach(async () => {
    [redis, service] = await Promise.all([startRedis(), startUpstream()]);
    const start = (whenRedisFails: string) =>
      startObserved(
        configFor(
          {
            services: { a: { url: service.url, timeoutMs: 5_000 } },
            routes: [{ prefix: '/a', service: 'a' }],
            rateLimit: { whenRedisFails },
          },
          5,
        ),
        { env: { REDIS_URL: redis.url } },
      );
    [allowing, rejecting] = await Promise.all([start('allow'), start('reject')]);
  });

  afterEach(async () => {
    await Promise.all([allowing?.gateway.stop(), rejecting?.gateway.stop()]);
    await Promise.all([redis?.close(), service?.close()]);
  });

  const both = <T>(act: (observed: Observed) => Promise<T>) => Promise.all([act(allowing), act(rejecting)]);

  /** Asserts that `gateway_redis_up` and `/ready` agree on the state of Redis. Sends no request to a route. */
  async function expectState(up: boolean): Promise<void> {
    await both(async ({ admin }) => {
      await until(
        async () => (await admin.scrape()).total('gateway_redis_up') === (up ? 1 : 0),
        `gateway_redis_up is ${up ? 1 : 0}, without a request`,
        3_000 + noiseMs,
      );
    });
    expect(await allowing.admin.ask('/ready')).toEqual({ status: 200, body: { ready: true, missing: [] } });
    expect(await rejecting.admin.ask('/ready')).toEqual(
      up
        ? { status: 200, body: { ready: true, missing: [] } }
        : { status: 503, body: { ready: false, missing: ['redis'] } },
    );
  }

  /** Asserts that the log says this about Redis, without a request, a scrape or a call of /ready. */
  async function expectLog(...story: Array<'redis lost' | 'redis found'>): Promise<void> {
    await both(async ({ gateway }) => {
      const logged = () =>
        gateway.log().flatMap(({ msg }) => (/^redis (lost|found)$/.test(String(msg)) ? [msg] : []));
      await until(() => logged().length >= story.length, `the log says ${story.at(-1)}`, 3_000 + noiseMs);
      expect(logged()).toEqual(story);
    });
  }

  test('see it at first, and time what they ask it', async () => {
    await expectState(true);
    await expectLog();
    await both(async ({ gateway, admin }) => {
      const name = 'gateway_redis_duration_seconds';
      const before = await admin.scrape();
      for (let i = 0; i < 3; i++) expect((await send(gateway, '/a/1')).status).toBe(200);
      const after = await admin.scrape();
      expect(after.total(`${name}_count`) - before.total(`${name}_count`)).toBeGreaterThanOrEqual(3);
      const seconds = after.total(`${name}_sum`) - before.total(`${name}_sum`);
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThan(3);
    });
  });

  /** Ends Redis after both gateways have seen it. */
  async function loseRedis(): Promise<void> {
    await expectState(true);
    await redis.kill();
    await expectLog('redis lost');
    await expectState(false);
  }

  test('notice at once, without any request, that it is gone', async () => {
    await loseRedis();
    await both(async ({ gateway }) => {
      const line = await gateway.waitForLog(({ msg }) => msg === 'redis lost');
      expect(line).toMatchObject({ level: 40, reason: expect.stringMatching(/\S/) });
    });
  });

  test('say nothing more about it while requests come', async () => {
    await loseRedis();
    await both(async ({ gateway }) => {
      for (let i = 0; i < 10; i++) await send(gateway, '/a/1');
    });
    await expectState(false);
    await expectLog('redis lost');
  });

  test('find it, without any request, when it comes', async () => {
    await loseRedis();
    await redis.restart();
    await expectLog('redis lost', 'redis found');
    await expectState(true);
    await both(async ({ gateway, admin }) => {
      const decisions = 'gateway_rate_limit_decisions_total';
      const before = await admin.scrape();
      expect((await send(gateway, '/a/1')).headers).toHaveProperty('ratelimit');
      await admin.expectGrowth(before, decisions, { class: 'anonymous', decision: 'allowed' }, 1);
    });
  });

  test('count a client that leaves while they wait for a frozen one, but no call to a service', async () => {
    await expectState(true);
    const expectCalls = countCalls({ service });
    // Before Redis freezes: a scrape asks Redis too, and would notice the freeze before the request does.
    const scrapes = new Map([
      [allowing, await allowing.admin.scrape()],
      [rejecting, await rejecting.admin.scrape()],
    ]);
    redis.freeze();
    await both(async (each) => {
      const { gateway, admin } = each;
      const before = scrapes.get(each) as Metrics;
      const client = await connect(gateway);
      await new Promise((resolve) => client.socket.write('GET /a/left HTTP/1.1\r\nHost: a\r\n\r\n', resolve));
      client.socket.destroy();
      const line = await gateway.waitForLog(({ path }) => path === '/a/left');
      expect(line).toMatchObject({ status: 499, source: 'gateway', upstreamMs: null });
      const labels = { route: '/a', status: '499', client: 'anonymous', source: 'gateway' };
      await admin.expectGrowth(before, 'gateway_http_requests_total', labels, 1);
      await admin.expectGrowth(before, 'gateway_requests_in_flight', {}, 0);
    });
    await expectState(false);
    // No request waits any more. One that was wrongly kept would have reached the service by now.
    await both(async ({ admin, gateway }) => {
      const { find } = await admin.scrape();
      expect(find('gateway_upstream_duration_seconds_count', { outcome: 'aborted' })).toEqual([]);
      expect(gateway.log().filter(({ path }) => path === '/a/left')).toHaveLength(1);
    });
    expectCalls(0);
  });

  test('find it when it goes on', async () => {
    await expectState(true);
    redis.freeze();
    await expectState(false);
    redis.thaw();
    await expectState(true);
  });

  test('print nothing else about it', async () => {
    await loseRedis();
    await redis.restart();
    await expectState(true);
    redis.freeze();
    await expectState(false);
    expect([allowing.gateway.stderr(), rejecting.gateway.stderr()]).toEqual(['', '']);
  });
});

describe.skipIf(!redisAvailable)('a gateway whose Redis closes idle connections', () => {
  test('says nothing about it, and Redis stays up', async () => {
    const [redis, service] = await Promise.all([startRedis('--timeout', '1'), startUpstream()]);
    const { gateway, admin } = await startObserved(
      configFor(
        {
          services: { a: { url: service.url, timeoutMs: 5_000 } },
          routes: [{ prefix: '/a', service: 'a' }],
          rateLimit: { whenRedisFails: 'reject' },
        },
        5,
      ),
      { env: { REDIS_URL: redis.url } },
    );
    /** The id of the connection whose last command was a count. */
    const connection = async () =>
      /^id=(\d+) .* cmd=eval/m.exec(String(await redis.command('CLIENT', 'LIST')))?.[1];
    await until(async () => (await connection()) !== undefined, 'the gateway is connected');
    const idle = await connection();
    await until(
      async () => ![idle, undefined].includes(await connection()),
      'it has a new connection',
      10_000,
    );
    expect(await admin.ask('/ready')).toEqual({ status: 200, body: { ready: true, missing: [] } });
    await admin.expectSamples('gateway_redis_up', {}, [{ labels: {}, value: 1 }]);
    expect(gateway.log().filter(({ msg }) => /^redis /.test(String(msg)))).toEqual([]);
    await gateway.stop();
    await redis.close();
  });
});

describe('a circuit', () => {
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
    [quick, endless] = await Promise.all([start(cooldownMs), start(endlessMs)]);
  });

  afterAll(async () => {
    await Promise.all([quick?.gateway.stop(), endless?.gateway.stop()]);
  });

  const start = (length: number) =>
    startObserved(
      configFor({ ...tenants.parts, circuitBreaker: { failureThreshold: threshold, cooldownMs: length } }, 5),
    );

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

  test('of every service stands in /circuits, closed at first', async () => {
    const { gateway, admin } = await start(cooldownMs);
    const { status, body } = await admin.ask('/circuits');
    expect(status).toBe(200);
    const services = Object.keys(tenants.parts.services);
    expect(body).toEqual(Object.fromEntries(services.map((name) => [name, closed])));
    await gateway.stop();
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
    const tenant = tenants.next();
    const endless = await start(endlessMs);
    await trip(tenant, endless);
    expect(await circuit(tenant, endless)).toMatchObject({ state: 'open' });
    await endless.gateway.waitForLog(
      ({ msg, service }) => msg === 'circuit opened' && service === tenant.service,
    );
    expect(logged('circuit closed', tenant, endless)).toEqual([]);
    const { code, ms } = await endless.gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(8_000);
    expect(endless.gateway.stderr()).toBe('');
  });
});
