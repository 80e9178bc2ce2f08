// Several gateways share one count in Redis, and let exactly the limit pass together. Reading the count and
// adding to it is one atomic script, because two commands let calls slip in between. Every counter expires,
// even after a fault that took its expiry.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, send, until } from '../harness/client.ts';
import { configFor, type Gateway, startGateway } from '../harness/gateway.ts';
import { policyOf, quotaOf } from '../harness/rate-limit-fields.ts';
import { type RedisServer, redisAvailable, startRedis } from '../harness/redis.ts';
import { countCalls, startUpstream, type Upstream } from '../harness/upstream.ts';

const limit = 50;
const rounds = 10;
const digest = (key: string) => createHash('sha256').update(key).digest('hex');
const apiKey = (client: string) => `canary-key-of-${client}`;
const names = ['203.0.113.99', ...Array.from({ length: 80 }, (_, i) => `client-${i}`)];

/** A call was not counted: on an overloaded machine Redis may answer later than the gateway waits for it. */
class NotCounted extends Error {}

/** Records the commands that clients send to this Redis, without the commands inside a script. */
async function startMonitor(port: number): Promise<{ commands(): string[]; close(): void }> {
  let text = '';
  const socket = net.connect(port, '127.0.0.1').setEncoding('utf8');
  await once(socket, 'connect');
  socket.on('data', (chunk: string) => {
    text += chunk;
  });
  socket.write('MONITOR\r\n');
  await until(() => text.includes('+OK\r\n'), 'Redis confirms MONITOR');
  // A line is: +1700000000.123456 [0 127.0.0.1:50000] "evalsha" "…". Inside a script it has lua instead of the address.
  const commands = () =>
    text.split('\r\n').flatMap((line) => /^\+[\d.]+ \[\d+ [\d.:]+\] (.*)$/.exec(line)?.[1] ?? []);
  return { commands, close: () => socket.destroy() };
}

describe.skipIf(!redisAvailable)('four gateways and one Redis', () => {
  let redis: RedisServer;
  let service: Upstream;
  let gateways: Gateway[];
  const agents = Array.from({ length: 4 }, () => new http.Agent({ keepAlive: true }));

  beforeAll(async () => {
    [redis, service] = await Promise.all([
      startRedis(),
      startUpstream((_request, response) => response.end('ok')),
    ]);
    const config = configFor(
      {
        services: { a: { url: service.url, timeoutMs: 10_000 } },
        routes: [{ prefix: '/a', service: 'a', access: 'public' }],
        clients: names.map((id) => ({ id, keySha256: [digest(apiKey(id))] })),
        trustedProxies: ['127.0.0.1'],
        rateLimit: {
          identified: { limit, windowMs: 60_000 },
          anonymous: { limit, windowMs: 60_000 },
          whenRedisFails: 'reject',
        },
      },
      3,
    );
    gateways = await Promise.all(agents.map(() => startGateway(config, { env: { REDIS_URL: redis.url } })));
  });

  afterAll(async () => {
    for (const agent of agents) agent.destroy();
    await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
    await redis?.close();
  });

  const send4 = (number: number, headers: http.OutgoingHttpHeaders): Promise<Answer> =>
    send(gateways[number % 4] as Gateway, '/a/1', { headers, agent: agents[number % 4] });
  /** Calls gateway `number` modulo 4 over a keep-alive connection. Throws NotCounted at 503. */
  const call = async (number: number, headers: http.OutgoingHttpHeaders): Promise<Answer> => {
    const answer = await send4(number, headers);
    if (answer.status === 503) throw new NotCounted(answer.text);
    return answer;
  };
  const as = (client: string) => ({ 'X-API-Key': apiKey(client) });
  const remaining = (answer: Answer) => quotaOf(answer).remaining;
  const bucket = (client: string) => `gateway:{client:${client}}`;

  let used = 1;
  /** Runs `act` with an unused client. If a call was not counted, runs it again with another one, twice at most. */
  async function asNewClient(act: (client: string) => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await act(names[used++] as string);
        return;
      } catch (error) {
        if (!(error instanceof NotCounted) || attempt === 3) throw error;
        const counting = async () => {
          const probes = [0, 1, 2, 3].map((i) => send4(i, { 'X-Forwarded-For': '203.0.113.255' }));
          return (await Promise.all(probes)).every(({ status }) => status !== 503);
        };
        await until(counting, 'all gateways count again');
      }
    }
  }

  /** Makes 400 calls at once, spread over the gateways. Asserts that exactly `limit` of them reach the service. */
  async function expectExactly(headers: http.OutgoingHttpHeaders): Promise<void> {
    const expectCalls = countCalls({ service });
    const answers = await Promise.all(Array.from({ length: 400 }, (_, i) => send4(i, headers)));
    const withStatus = (status: number) => answers.filter((answer) => answer.status === status);
    const passed = withStatus(200);
    expect(passed.length).toBeLessThanOrEqual(limit);
    expectCalls(passed.length);
    // Every call that passed has a different number of remaining calls.
    expect(new Set(passed.map(remaining)).size).toBe(passed.length);
    if (withStatus(503).length > 0)
      throw new NotCounted(
        `${withStatus(503).length} of 400 calls got 503: a gateway treated Redis as lost, although it answers`,
      );
    expect({ passed: passed.length, refused: withStatus(429).length }).toEqual({
      passed: limit,
      refused: 400 - limit,
    });
  }

  test.each(Array.from({ length: rounds }, (_, i) => i + 1))(
    'let exactly 50 of 400 calls at once pass (round %i)',
    async () => {
      await asNewClient((client) => expectExactly(as(client)));
    },
  );

  test('let exactly 50 of 400 calls at once pass from one address', async () => {
    let last = 10;
    await asNewClient(() => expectExactly({ 'X-Forwarded-For': `203.0.113.${last++}` }));
  });

  test('go on where the others stopped', async () => {
    await asNewClient(async (client) => {
      const left: number[] = [];
      for (let i = 0; i < 8; i++) left.push(remaining(await call(i, as(client))));
      expect(left).toEqual([49, 48, 47, 46, 45, 44, 43, 42]);
    });
  });

  test('keep a client apart from the address that is its name', async () => {
    const client = names[0] as string;
    await redis.command('DEL', bucket(client), `gateway:{address:${client}}`);
    expect(remaining(await call(0, as(client)))).toBe(49);
    expect(remaining(await call(1, { 'X-Forwarded-For': client }))).toBe(49);
    expect(remaining(await call(2, as(client)))).toBe(48);
  });

  test('ask Redis once per request, with one script and one key', async () => {
    const client = names[used++] as string;
    await call(0, as(client));
    const monitor = await startMonitor(redis.port);
    for (let i = 0; i < 20; i++) await send4(i, i % 2 ? as(client) : { 'X-Forwarded-For': '203.0.113.5' });
    for (const target of ['/nowhere', '/health']) await send(gateways[0] as Gateway, target);
    await redis.command('ECHO', 'the end');
    await until(
      () => monitor.commands().some((command) => command.includes('the end')),
      'the monitor has seen it all',
    );
    monitor.close();
    const commands = monitor.commands().filter((command) => !command.includes('the end'));
    expect(commands).toHaveLength(20);
    for (const command of commands) {
      expect(command).toMatch(
        /^"evalsha" "[\da-f]{40}" "1" "gateway:\{(client:client-\d+|address:203\.0\.113\.5)\}"/i,
      );
    }
  });

  test('survive SCRIPT FLUSH between two requests without losing count', async () => {
    await asNewClient(async (client) => {
      for (let left = 49; left > 44; left--) {
        const answer = await call(left, as(client));
        expect({ status: answer.status, left: remaining(answer) }).toEqual({ status: 200, left });
        await redis.command('SCRIPT', 'FLUSH');
      }
    });
  });

  test('heal a counter that lost its expiry', async () => {
    await asNewClient(async (client) => {
      await call(0, as(client));
      expect(await redis.command('PERSIST', bucket(client))).toBe(1);
      const answer = await call(1, as(client));
      expect(quotaOf(answer)).toEqual({ policy: 'identified', remaining: 49, seconds: 60 });
      expect(await redis.command('PTTL', bucket(client))).toBeGreaterThan(0);
    });
  });

  test('heal a counter over the limit that would never have expired', async () => {
    await asNewClient(async (client) => {
      await redis.command('SET', bucket(client), '1000');
      const answer = await call(0, as(client));
      expect(answer.status).toBe(200);
      expect(quotaOf(answer)).toEqual({ policy: 'identified', remaining: 49, seconds: 60 });
      expect(await redis.command('PTTL', bucket(client))).toBeGreaterThan(0);
    });
  });

  test('round the time left up to a second', async () => {
    await asNewClient(async (client) => {
      const end = Date.now() + 59_900;
      await redis.command('SET', bucket(client), '50', 'PX', '59900');
      const answer = await call(1, as(client));
      expect(answer.status).toBe(429);
      const retryAfter = Number(answer.headers['retry-after']);
      // 60, or less when the answer took long.
      expect(retryAfter).toBeGreaterThanOrEqual(Math.ceil((end - Date.now()) / 1_000));
      expect(retryAfter).toBeLessThanOrEqual(60);
      expect(quotaOf(answer)).toEqual({ policy: 'identified', remaining: 0, seconds: retryAfter });
    });
  });

  test('never round it down to none', async () => {
    await asNewClient(async (client) => {
      await redis.command('SET', bucket(client), '50', 'PX', '900');
      const last = await call(2, as(client));
      // On a very slow machine the window has ended before the call, which then opens the next one.
      if (last.status === 429) {
        expect(last.headers['retry-after']).toBe('1');
        expect(quotaOf(last)).toEqual({ policy: 'identified', remaining: 0, seconds: 1 });
      }
    });
  });

  test('leave nothing in Redis but counters that expire: no key of a client, nothing else it wrote', async () => {
    const forwarded = [
      'garbage',
      '*}{',
      '1.2.3.4, <script>',
      'fe80::1%odd',
      '2001:db8:1:2::3',
      '::ffff:1.2.3.4',
    ];
    const clients: string[] = [];
    await redis.command('FLUSHALL'); // what other tests wrote themselves
    await asNewClient(async (client) => {
      clients.push(client);
      for (let i = 0; i < 4; i++) await call(i, as(client));
      for (const [i, address] of forwarded.entries()) await call(i, { 'X-Forwarded-For': address });
    });
    const keys = (await redis.command('KEYS', '*')) as string[];
    for (const key of keys) {
      const [ttlMs, value] = [await redis.command('PTTL', key), await redis.command('GET', key)];
      if (value === null) continue; // It has expired since KEYS.
      expect(key).toMatch(/^gateway:\{.+\}$/);
      expect(ttlMs, `PTTL of ${key}`).toBeGreaterThan(0);
      expect(ttlMs, `PTTL of ${key}`).toBeLessThanOrEqual(60_000);
      expect(value, `value of ${key}`).toMatch(/^\d+$/);
    }
    expect(keys).toContain(bucket(clients.at(-1) as string));
    const addresses = keys.filter((key) => key.startsWith('gateway:{address:'));
    expect(addresses).toContain('gateway:{address:1.2.3.4}');
    expect(
      addresses.filter((key) => !/^gateway:\{address:(\d+(\.\d+){3}|[\da-f:]+\/64)\}$/.test(key)),
    ).toEqual([]);
    expect(keys.join()).not.toMatch(/canary|garbage|script|odd/);
    for (const client of names) expect(keys.join()).not.toContain(digest(apiKey(client)));
  });
});

describe.skipIf(!redisAvailable)('a gateway started again with a shorter window', () => {
  test('ends the windows that are longer: t is never larger than w, and fresh quota comes in time', async () => {
    const [redis, service] = await Promise.all([startRedis(), startUpstream()]);
    const start = (windowMs: number) =>
      startGateway(
        configFor(
          {
            services: { a: { url: service.url, timeoutMs: 10_000 } },
            routes: [{ prefix: '/a', service: 'a', access: 'public' }],
            rateLimit: { anonymous: { limit: 2, windowMs }, whenRedisFails: 'reject' },
          },
          3,
        ),
        { env: { REDIS_URL: redis.url } },
      );
    const bucketLeftMs = () => redis.command('PTTL', 'gateway:{address:127.0.0.1}');
    /** Calls until the call is counted: on an overloaded machine Redis may answer later than the gateway waits for it. */
    const countedCall = async (gateway: Gateway): Promise<Answer> => {
      let answer: Answer | undefined;
      await until(async () => {
        answer = await send(gateway, '/a/1');
        return answer.status !== 503;
      }, 'a call is counted');
      return answer as Answer;
    };

    const before = await start(3_600_000);
    for (let i = 0; i < 2; i++) await countedCall(before);
    const refused = await countedCall(before);
    expect(refused.status).toBe(429);
    expect(policyOf(refused)).toEqual({ policy: 'anonymous', limit: 2, windowSeconds: 3_600 });
    expect(quotaOf(refused)).toMatchObject({ policy: 'anonymous', remaining: 0 });
    expect(quotaOf(refused).seconds).toBeGreaterThanOrEqual(3_500);
    expect(quotaOf(refused).seconds).toBeLessThanOrEqual(3_600);
    await before.stop();

    const after = await start(1_000);
    const first = await countedCall(after);
    expect(policyOf(first)).toEqual({ policy: 'anonymous', limit: 2, windowSeconds: 1 });
    expect(quotaOf(first)).toEqual({ policy: 'anonymous', remaining: 1, seconds: 1 });
    await until(async () => (await bucketLeftMs()) === -2, 'the window has ended', 1_000 + 2_000);
    const passed = await countedCall(after);
    expect(passed.status).toBe(200);
    expect(policyOf(passed)).toEqual({ policy: 'anonymous', limit: 2, windowSeconds: 1 });
    expect(quotaOf(passed)).toMatchObject({ policy: 'anonymous', seconds: 1 });
    expect(quotaOf(passed).remaining).toBeLessThanOrEqual(1);
    await after.stop();
    await redis.close();
  });
});
