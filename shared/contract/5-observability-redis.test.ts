import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Metrics } from '../metrics/prometheus-text.ts';
import { type Admin, startObserved } from './harness/admin.ts';
import { connect, send, until } from './harness/client.ts';
import { configFor, type Gateway } from './harness/gateway.ts';
import { type RedisServer, redisAvailable, startRedis } from './harness/redis.ts';
import { startUpstream, type Upstream } from './harness/upstream.ts';

if (!redisAvailable) {
  console.warn(
    'Suite 5: redis-server is not on PATH, so what needs a real Redis is skipped. ' +
      'Get it with: apt-get install redis-server, or brew install redis.',
  );
}

// Added to the time limits of the contract, because a busy machine is late.
const noiseMs = 1_500;

interface Observed {
  gateway: Gateway;
  admin: Admin;
}

// The order of these tests matters: each one starts with Redis in the state that the previous one left.
describe.skipIf(!redisAvailable)('two gateways whose Redis comes and goes', () => {
  let redis: RedisServer;
  let service: Upstream;
  /** whenRedisFails is "allow". */
  let allowing: Observed;
  /** whenRedisFails is "reject". */
  let rejecting: Observed;

  beforeAll(async () => {
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

  afterAll(async () => {
    await Promise.all([allowing?.gateway.stop(), rejecting?.gateway.stop()]);
    await redis?.close();
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

  test('notice at once, without any request, that it is gone', async () => {
    await redis.kill();
    await expectLog('redis lost');
    await expectState(false);
    await both(async ({ gateway }) => {
      const line = await gateway.waitForLog(({ msg }) => msg === 'redis lost');
      expect(line).toMatchObject({ level: 40, reason: expect.stringMatching(/\S/) });
    });
  });

  test('say nothing more about it while requests come', async () => {
    await both(async ({ gateway }) => {
      for (let i = 0; i < 10; i++) await send(gateway, '/a/1');
    });
    await expectState(false);
    await expectLog('redis lost');
  });

  test('find it, without any request, when it comes', async () => {
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
    const begun = service.begun();
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
    expect(service.begun()).toBe(begun);
  });

  test('find it when it goes on', async () => {
    redis.thaw();
    await expectState(true);
  });

  test('print nothing else about it', () => {
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
