// Each client may make a number of calls in a window of time, and an anonymous caller counts by its address.
// The call over the limit gets 429 before the service is asked, with the seconds until the window ends.
// RateLimit and Retry-After tell every caller where it stands.

import { createHash } from 'node:crypto';
import http from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Answer,
  expectProblem,
  type SendOptions,
  send,
  until,
  writeThenRead,
} from '../harness/client.ts';
import { configFor, type Gateway, startAndFail, startGateway } from '../harness/gateway.ts';
import { policyOf, type Quota, quotaOf, single } from '../harness/rate-limit-fields.ts';
import { type RedisServer, redisAvailable, startRedis } from '../harness/redis.ts';
import { countCalls, deadUrl, startUpstream, type Upstream } from '../harness/upstream.ts';

if (!redisAvailable) {
  console.warn(
    'Suite 3: redis-server is not on PATH, so what needs a real Redis is skipped. ' +
      'Get it with: apt-get install redis-server, or brew install redis.',
  );
}

const digest = (key: string) => createHash('sha256').update(key).digest('hex');
const clients = Array.from({ length: 120 }, (_, i) => ({
  id: `client-${i}`,
  keySha256: [digest(`key-${i}`), digest(`spare-key-${i}`)],
}));

function expectLimited(answer: Answer): Quota {
  expectProblem(answer, 429, 'rate-limited');
  const quota = quotaOf(answer);
  expect(quota.remaining).toBe(0);
  expect(quota.seconds).toBeGreaterThanOrEqual(1);
  expect(single(answer, 'retry-after')).toBe(String(quota.seconds));
  return quota;
}

function expectUncounted(answer: Answer): void {
  expect(answer.headers).not.toHaveProperty('ratelimit');
  expect(answer.headers).not.toHaveProperty('ratelimit-policy');
}

/** Answers with the status in the path. With 'own' it also sends rate limit headers of the service. */
function byPath(request: http.IncomingMessage, response: http.ServerResponse): void {
  const [, status = '200', own] = (request.url ?? '').split(/[/?]/);
  response.statusCode = Number(status) || 200;
  if (own === 'own') {
    response.setHeader('ratelimit', ['"service";r=1;t=1', '"service-day";r=2;t=2']);
    response.setHeader('RATELIMIT-POLICY', '"service";q=1;w=1');
    response.setHeader('x-ratelimit-remaining', '7');
  }
  if (own === 'late') return;
  response.end(request.method === 'HEAD' || response.statusCode === 304 ? undefined : 'from the service');
}

const anonymousWindowMs = 1_900;

describe.concurrent('the config', () => {
  const services = { a: { url: 'http://127.0.0.1:9', timeoutMs: 1_000 } };
  const routes = [{ prefix: '/a', service: 'a' }];

  test('is refused with every bad number, word and proxy named', async () => {
    const trustedProxies: unknown[] = [
      '10.0.0.0/8',
      '10.0.0.0/33',
      'example.com',
      'true',
      true,
      1,
      '',
      '*',
      '1.2.3',
      '1.2.3.4/',
      '1.2.3.4/-1',
      '1.2.3.4/8/8',
      '2001:db8::/129',
      '::g',
      'loopback',
      '::1',
      '2001:db8::/32',
      '192.0.2.1',
      '0.0.0.0/0',
      '::/0',
      '::ffff:0:0/96', // all of IPv4
      '::ffff:10.0.0.0/104',
    ];
    const config = configFor(
      {
        services,
        routes,
        trustedProxies,
        rateLimit: {
          identified: { limit: 0, windowMs: -5 },
          anonymous: { limit: 1.5, windowMs: '60000' },
          whenRedisFails: 'maybe',
          keyPrefix: 'live test',
        },
      },
      3,
    );
    const { code, stderr } = await startAndFail(config);
    expect(code).toBe(1);
    for (const field of [
      'identified.limit',
      'identified.windowMs',
      'anonymous.limit',
      'anonymous.windowMs',
    ]) {
      expect(stderr).toContain(`rateLimit.${field}`);
    }
    expect(stderr).toContain('rateLimit.whenRedisFails');
    expect(stderr).toContain('rateLimit.keyPrefix');
    const good = [0, 15, 16, 17, 21];
    for (const index of trustedProxies.keys()) {
      const named = stderr.includes(`trustedProxies[${index}]`);
      expect(named, `trustedProxies[${index}] is named`).toBe(!good.includes(index));
    }
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('is refused when a part is missing, misspelt or too much', async () => {
    const config = configFor(
      {
        services,
        routes,
        trustedProxies: true,
        rateLimit: {
          identified: { limit: 1, windowMs: 1_000, burst: 3 },
          anonymous: { limit: null },
          whenRedisFails: undefined,
          perRoute: {},
        },
      },
      3,
    );
    const { code, stderr } = await startAndFail(config);
    expect(code).toBe(1);
    for (const word of [
      'trustedProxies',
      'burst',
      'rateLimit.anonymous.limit',
      'rateLimit.anonymous.windowMs',
      'rateLimit.whenRedisFails',
      'perRoute',
    ]) {
      expect(stderr).toContain(word);
    }
  });

  test('is refused without its sections', async () => {
    const config = configFor({ services, routes }, 3);
    delete config.trustedProxies;
    delete config.rateLimit;
    const { code, stderr } = await startAndFail(config);
    expect(code).toBe(1);
    expect(stderr).toContain('trustedProxies');
    expect(stderr).toContain('rateLimit');
  });

  test.each([
    ['http://:canary-password@127.0.0.1:6379', 'redis://'],
    ['127.0.0.1:6379', 'redis://'],
    ['not a url', 'redis://'],
    ['redis://', 'host'],
    ['redis://:canary-password@127.0.0.1:6379/counters', 'database'],
    ['redis://:canary-password@127.0.0.1:6379?db=counters', 'database'],
  ])('is refused with REDIS_URL=%s, and told what belongs there: %s', async (url, word) => {
    const { code, stderr } = await startAndFail(configFor({ services, routes }, 3), {
      env: { REDIS_URL: url },
    });
    expect(code).toBe(1);
    expect(stderr).toContain('REDIS_URL');
    expect(stderr).toContain(word);
    expect(stderr).not.toContain('canary-password');
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

describe.each([
  { store: 'a real Redis', available: redisAvailable },
  { store: 'the embedded Redis', available: true },
])('with $store', ({ store, available }) => {
  // On an overloaded machine Redis may answer later than the gateway waits for it. So tests are retried, and each uses
  // a client and an address of its own.
  describe.skipIf(!available)('a gateway', { retry: 2 }, () => {
    const embedded = store === 'the embedded Redis';
    let redis: RedisServer | undefined;
    let inventory: Upstream;
    let orders: Upstream;
    let gateway: Gateway;
    let nextClient = 0;
    let nextAddress = 1;

    beforeAll(async () => {
      [inventory, orders] = await Promise.all([startUpstream(byPath), startUpstream(byPath)]);
      redis = embedded ? undefined : await startRedis();
      gateway = await startGateway(
        configFor(
          {
            services: {
              inventory: { url: inventory.url, timeoutMs: 5_000 },
              orders: { url: orders.url, timeoutMs: 5_000 },
              slow: { url: orders.url, timeoutMs: 300 },
              dead: { url: await deadUrl(), timeoutMs: 1_000 },
            },
            routes: [
              { prefix: '/inventory', service: 'inventory', access: 'public' },
              { prefix: '/orders', service: 'orders', access: 'protected' },
              { prefix: '/slow', service: 'slow', access: 'public' },
              { prefix: '/dead', service: 'dead', access: 'public' },
            ],
            clients,
            trustedProxies: ['127.0.0.1'],
            rateLimit: {
              identified: { limit: 10, windowMs: 60_000 },
              anonymous: { limit: 5, windowMs: anonymousWindowMs },
              whenRedisFails: 'reject',
            },
          },
          3,
        ),
        { env: { REDIS_URL: redis?.url ?? '' } },
      );
    });

    afterAll(async () => {
      await gateway?.stop();
      await redis?.close();
    });

    const ask = (target: string, options?: SendOptions) => send(gateway, target, options);
    /** Headers of a client that no other test uses: its key and its spare key. */
    const newClient = () => {
      const number = nextClient++;
      return {
        id: `client-${number}`,
        key: { 'X-API-Key': `key-${number}` },
        spareKey: { 'X-API-Key': `spare-key-${number}` },
      };
    };
    /** Headers of an anonymous caller from an address that no other test uses. */
    const newAddress = () => ({ 'X-Forwarded-For': `198.51.100.${nextAddress++}` });
    /** Makes a call and asserts that the client has used `used` of its 10 calls, this one included. */
    const expectUsed = async (headers: http.OutgoingHttpHeaders, used: number) => {
      expect(quotaOf(await ask('/inventory/200', { headers }))).toMatchObject({ remaining: 10 - used });
    };

    test('counts from the first call on, and says in the log when its Redis is the embedded one', async () => {
      const { key: headers } = newClient();
      expect(quotaOf(await ask('/inventory/200', { headers })).remaining).toBe(9);
      const lines = gateway.log().filter(({ msg }) => /redis/i.test(String(msg)));
      expect(lines.map(({ level, msg }) => ({ level, msg }))).toEqual(
        embedded ? [{ level: 40, msg: 'embedded redis: limits hold for this one process only' }] : [],
      );
    });

    describe('the decision', () => {
      test('lets exactly the limit pass, then answers 429 without asking the service', async () => {
        const { key: headers } = newClient();
        for (let left = 9; left >= 0; left--) {
          const answer = await ask('/orders/200', { headers });
          expect(answer.status).toBe(200);
          expect(quotaOf(answer)).toMatchObject({ policy: 'identified', remaining: left });
        }
        const expectCalls = countCalls({ orders });
        for (let i = 0; i < 3; i++) expectLimited(await ask('/orders/200', { headers }));
        expectCalls(0);
      });

      test('lets exactly the limit of an anonymous caller pass', async () => {
        const headers = newAddress();
        const answers = await Promise.all(
          Array.from({ length: 8 }, () => ask('/inventory/200', { headers })),
        );
        expect(answers.filter(({ status }) => status === 200)).toHaveLength(5);
        for (const answer of answers) expect(quotaOf(answer).policy).toBe('anonymous');
      });

      test('lets exactly the limit pass when 100 calls come at once', async () => {
        const { key: headers } = newClient();
        const expectCalls = countCalls({ inventory });
        const answers = await Promise.all(
          Array.from({ length: 100 }, () => ask('/inventory/200', { headers })),
        );
        const passed = answers.filter(({ status }) => status === 200);
        expect(passed.map((answer) => quotaOf(answer).remaining).sort()).toEqual([
          0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
        ]);
        for (const answer of answers) if (answer.status !== 200) expectLimited(answer);
        expectCalls(10);
      });

      test('gives a client one bucket over all routes, methods and both its keys', async () => {
        const { key, spareKey } = newClient();
        const calls = [
          ask('/inventory/200', { headers: key }),
          ask('/orders/200', { headers: spareKey }),
          ask('/inventory/200', { headers: spareKey, method: 'POST', body: 'x' }),
          ask('/orders/200', { headers: key, method: 'OPTIONS' }),
          ask('/slow/200', { headers: { ...key, ...newAddress() } }),
        ];
        expect((await Promise.all(calls)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
        await expectUsed(spareKey, 6);
      });

      test('keeps the buckets of two clients apart', async () => {
        const [first, second] = [newClient(), newClient()];
        await Promise.all(Array.from({ length: 11 }, () => ask('/orders/200', { headers: first.key })));
        expectLimited(await ask('/orders/200', { headers: first.key }));
        await expectUsed(second.key, 1);
      });

      test('keeps a client and the address it comes from apart', async () => {
        const address = newAddress();
        const { key } = newClient();
        await Promise.all(
          Array.from({ length: 6 }, () => ask('/inventory/200', { headers: { ...address, ...key } })),
        );
        expect(quotaOf(await ask('/inventory/200', { headers: address })).remaining).toBe(4);
        await expectUsed(key, 7);
      });

      test('refuses an upload over the limit with the connection left in order', async () => {
        const { key: headers } = newClient();
        await Promise.all(Array.from({ length: 10 }, () => ask('/inventory/200', { headers })));
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        const body = Buffer.alloc(1024 * 1024, 'x');
        expectLimited(await ask('/inventory/200', { headers, method: 'POST', body, agent }));
        expect((await ask('/health', { agent })).json()).toEqual({ status: 'ok' });
        agent.destroy();
      });

      test('refuses an upload over the limit with an answer for a client that writes 1 MB first', async () => {
        const { key: headers } = newClient();
        await Promise.all(Array.from({ length: 10 }, () => ask('/inventory/200', { headers })));
        const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
        const upload =
          `POST /inventory/200 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n${fields.join('')}\r\n` +
          'x'.repeat(1_000_000);
        const answers = await Promise.all(Array.from({ length: 20 }, () => writeThenRead(gateway, upload)));
        expect(answers.map((all) => all.length)).toEqual(answers.map(() => 1));
        for (const answer of answers.flat()) expectLimited(answer);
      });
    });

    describe('the fields', () => {
      test('name policy, limit and window, calls left and seconds left', async () => {
        const { key: headers } = newClient();
        const first = await ask('/orders/200', { headers });
        expect(policyOf(first)).toEqual({ policy: 'identified', limit: 10, windowSeconds: 60 });
        expect(quotaOf(first)).toEqual({ policy: 'identified', remaining: 9, seconds: 60 });
        expect(first.headers).not.toHaveProperty('retry-after');
        const anonymous = await ask('/inventory/200', { headers: newAddress() });
        expect(policyOf(anonymous)).toEqual({ policy: 'anonymous', limit: 5, windowSeconds: 2 });
        expect(quotaOf(anonymous)).toEqual({ policy: 'anonymous', remaining: 4, seconds: 2 });
      });

      test.each([200, 201, 204, 301, 304, 400, 404, 429, 500, 503])(
        'stand on an answer %i of the service',
        async (status) => {
          const { key: headers } = newClient();
          const answer = await ask(`/inventory/${status}`, { headers });
          expect(answer.status).toBe(status);
          expect(policyOf(answer)).toEqual({ policy: 'identified', limit: 10, windowSeconds: 60 });
          expect(quotaOf(answer).remaining).toBe(9);
        },
      );

      test('stand on the answer to HEAD, and on its 429, which has no body', async () => {
        const { key: headers } = newClient();
        const call = () => ask('/inventory/200', { headers, method: 'HEAD' });
        expect(quotaOf(await call()).remaining).toBe(9);
        await Promise.all(Array.from({ length: 9 }, call));
        const limited = await call();
        expect({ status: limited.status, body: limited.text }).toEqual({ status: 429, body: '' });
        expect(single(limited, 'retry-after')).toBe(String(quotaOf(limited).seconds));
        expect(policyOf(limited)).toEqual({ policy: 'identified', limit: 10, windowSeconds: 60 });
      });

      test('stand on a 502 and a 504 that the gateway made after it had counted the call', async () => {
        const { key: headers } = newClient();
        const unreachable = await ask('/dead/1', { headers });
        expectProblem(unreachable, 502, 'upstream-unreachable');
        expect(quotaOf(unreachable).remaining).toBe(9);
        const late = await ask('/slow/200/late', { headers });
        expectProblem(late, 504, 'upstream-timeout');
        expect(quotaOf(late).remaining).toBe(8);
        expect(policyOf(late)).toEqual({ policy: 'identified', limit: 10, windowSeconds: 60 });
      });

      test('stand there once when the service sends its own, and are the gateway’s', async () => {
        const { key: headers } = newClient();
        const answer = await ask('/inventory/200/own', { headers });
        expect(quotaOf(answer)).toEqual({ policy: 'identified', remaining: 9, seconds: 60 });
        expect(policyOf(answer)).toEqual({ policy: 'identified', limit: 10, windowSeconds: 60 });
        // The gateway does not write the older X-RateLimit headers: those of the service pass unchanged.
        expect(single(answer, 'x-ratelimit-remaining')).toBe('7');
      });
    });

    describe('free of charge', () => {
      test('are 404, 400 and /health', async () => {
        const { key: headers } = newClient();
        for (let i = 0; i < 12; i++) {
          const missing = await ask('/nowhere', { headers });
          expectProblem(missing, 404, 'no-route');
          expectUncounted(missing);
        }
        expectUncounted(await ask('/inventory/%2e%2e/x', { headers }));
        expectUncounted(await ask('/health', { headers }));
        await expectUsed(headers, 1);
      });

      test('is 401, for the address it comes from and for the client whose key is repeated', async () => {
        const address = newAddress();
        const { key } = newClient();
        const refused = await Promise.all([
          ...Array.from({ length: 6 }, () => ask('/orders/200', { headers: address })),
          ...Array.from({ length: 6 }, () =>
            ask('/inventory/200', { headers: { ...address, 'X-API-Key': 'unknown' } }),
          ),
          ...Array.from({ length: 12 }, () =>
            ask('/inventory/200', {
              headers: { ...address, 'X-API-Key': [key['X-API-Key'], key['X-API-Key']] },
            }),
          ),
        ]);
        for (const answer of refused) {
          expect(answer.status).toBe(401);
          expectUncounted(answer);
        }
        expect(quotaOf(await ask('/inventory/200', { headers: address })).remaining).toBe(4);
        await expectUsed(key, 1);
      });

      test('are 404, 400 and /health for an address too', async () => {
        const headers = newAddress();
        await Promise.all([
          ...Array.from({ length: 6 }, () => ask('/nowhere', { headers })),
          ...Array.from({ length: 6 }, () => ask('/health', { headers })),
        ]);
        expect(quotaOf(await ask('/inventory/200', { headers })).remaining).toBe(4);
      });
    });

    describe.concurrent('the window', () => {
      test('opens with the first call, is not extended by refused ones, and ends with fresh quota', async () => {
        const headers = newAddress();
        const call = () => ask('/inventory/200', { headers });
        const earliest = Date.now();
        expect(quotaOf(await call()).remaining).toBe(4);
        await Promise.all(Array.from({ length: 4 }, call));
        let refused = 0;
        let fresh: Answer | undefined;
        await until(async () => {
          const answer = await call();
          if (answer.status === 200) fresh = answer;
          else refused += Number(expectLimited(answer).seconds <= 2);
          return fresh !== undefined;
        }, 'a call passes in a new window');
        // A window aligned to the clock would end earlier. A window extended by refused calls would never end.
        expect(Date.now()).toBeGreaterThanOrEqual(earliest + anonymousWindowMs - 5);
        expect(refused).toBeGreaterThan(0);
        expect(quotaOf(fresh as Answer)).toEqual({ policy: 'anonymous', remaining: 4, seconds: 2 });
      });

      test('is not extended by calls that pass', async () => {
        const headers = newAddress();
        const call = () => ask('/inventory/200', { headers });
        expect(quotaOf(await call()).remaining).toBe(4);
        const begin = Date.now();
        await until(() => Date.now() > begin + anonymousWindowMs / 2, 'half of the window is over');
        expect(quotaOf(await call())).toMatchObject({ remaining: 3, seconds: 1 });
        await until(() => Date.now() > begin + anonymousWindowMs + 300, 'the window is over');
        expect(quotaOf(await call())).toMatchObject({ remaining: 4, seconds: 2 });
      });

      test('has ended after the seconds that Retry-After names', async () => {
        const headers = newAddress();
        const answers = await Promise.all(
          Array.from({ length: 6 }, () => ask('/inventory/200', { headers })),
        );
        const refused = answers.find(({ status }) => status === 429) as Answer;
        const again = Date.now() + Number(single(refused, 'retry-after')) * 1_000;
        await until(() => Date.now() >= again, 'Retry-After is over');
        expect((await ask('/inventory/200', { headers })).status).toBe(200);
      });
    });

    test('says in the log what was decided: allowed or limited', async () => {
      const { id, key: headers } = newClient();
      const path = `/inventory/200/decided-for-${id}`;
      const lines = () => gateway.log().filter((test) => test.path === path);
      for (let i = 0; i < 11; i++) await ask(path, { headers });
      await ask(path, { headers: { 'X-API-Key': 'wrong' } });
      await until(() => lines().length === 12, 'every request is in the log');
      expect(lines().map(({ status, limit }) => [status, limit])).toEqual([
        ...Array(10).fill([200, 'allowed']),
        [429, 'limited'],
        [401, undefined],
      ]);
    });

    test('says in the log who was limited', async () => {
      const { id, key: headers } = newClient();
      await Promise.all(Array.from({ length: 11 }, () => ask('/inventory/200/limited', { headers })));
      const line = await gateway.waitForLog(
        (test) => test.path === '/inventory/200/limited' && test.status === 429,
      );
      expect(line).toMatchObject({ refusedBy: 'limit', client: id, service: 'inventory' });
    });
  });
});
