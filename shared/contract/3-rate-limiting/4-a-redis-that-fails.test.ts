// Redis can be gone, frozen, slow or unable to count. A request waits for it for 200 ms at most, and
// whenRedisFails then decides: allow or reject. An outage is in the log once, and counting begins again by
// itself.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Answer, answersIn, connect, expectProblem, send, until } from '../harness/client.ts';
import { startFakeRedis } from '../harness/fake-redis.ts';
import { configFor, type Gateway, startGateway } from '../harness/gateway.ts';
import { ask, counts, isCounted, outageLines, startLimited } from '../harness/limited.ts';
import { quotaOf } from '../harness/rate-limit-fields.ts';
import { type RedisServer, redisAvailable, startRedis } from '../harness/redis.ts';
import { countCalls, startUpstream, type Upstream } from '../harness/upstream.ts';

// Added to the time limits of the contract, because a busy machine is late.
const noiseMs = 1_500;
const commandBudgetMs = 200;

const key = { 'X-API-Key': 'the-key' };
const bucket = 'gateway:{client:client-1}';
// Values that expire: the gateway replaces one that does not.
const list = "redis.call('RPUSH', KEYS[1], 'x') redis.call('PEXPIRE', KEYS[1], 60000)";
const noNumber = "redis.call('SET', KEYS[1], 'many', 'PX', 60000)";
const configWith = (whenRedisFails: 'allow' | 'reject', service: Upstream) =>
  configFor(
    {
      services: { a: { url: service.url, timeoutMs: 5_000 } },
      routes: [
        { prefix: '/a', service: 'a', access: 'public' },
        { prefix: '/protected', service: 'a', access: 'protected' },
      ],
      clients: [{ id: 'client-1', keySha256: [createHash('sha256').update('the-key').digest('hex')] }],
      trustedProxies: ['127.0.0.1'],
      rateLimit: {
        identified: { limit: 1_000_000, windowMs: 60_000 },
        anonymous: { limit: 3, windowMs: 60_000 },
        whenRedisFails,
      },
    },
    3,
  );

async function timed<T>(act: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const begin = performance.now();
  return { result: await act(), ms: performance.now() - begin };
}

function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] as number;
}

function expectUncounted(answer: Answer): void {
  expect(answer.headers).not.toHaveProperty('ratelimit');
  expect(answer.headers).not.toHaveProperty('ratelimit-policy');
}

const longestPauseMs = 2_000;

// Each test leaves Redis in another state, so each one has a Redis and gateways of its own.
describe.skipIf(!redisAvailable)('two gateways whose Redis fails', () => {
  let redis: RedisServer;
  let service: Upstream;
  /** whenRedisFails is "allow". */
  let allowing: Gateway;
  /** whenRedisFails is "reject". */
  let rejecting: Gateway;

  beforeEach(async () => {
    [redis, service] = await Promise.all([startRedis(), startUpstream()]);
  });

  afterEach(async () => {
    await Promise.all([allowing?.stop(), rejecting?.stop()]);
    await Promise.all([redis?.close(), service?.close()]);
    expect([allowing?.stderr(), rejecting?.stderr()], 'stderr of both').toEqual(['', '']);
  });

  async function startBoth(): Promise<void> {
    const env = { REDIS_URL: redis.url };
    [allowing, rejecting] = await Promise.all([
      startGateway(configWith('allow', service), { env }),
      startGateway(configWith('reject', service), { env }),
    ]);
  }

  /** Starts the gateways while Redis is gone. */
  async function startWithoutRedis(): Promise<void> {
    await redis.kill();
    await startBoth();
  }

  /** Starts the gateways while Redis runs. */
  async function startWithRedis(): Promise<void> {
    await startBoth();
    await both((gateway) => counts(gateway));
  }

  const both = <T>(act: (gateway: Gateway) => Promise<T>) => Promise.all([act(allowing), act(rejecting)]);
  const ask = (gateway: Gateway, headers: http.OutgoingHttpHeaders = key) =>
    send(gateway, '/a/1', { headers });
  const outages = (gateway: Gateway) =>
    gateway.log().flatMap(({ msg }) => (/^redis (lost|found)$/.test(String(msg)) ? [msg] : []));
  const expectOutages = (...messages: string[]) =>
    both(async (gateway) => {
      await until(() => outages(gateway).length >= messages.length, `the log says ${messages.at(-1)}`);
      expect(outages(gateway)).toEqual(messages);
    });

  function expectFailPath(gateway: Gateway, answer: Answer): void {
    expectUncounted(answer);
    if (gateway === allowing) expect(answer.status).toBe(200);
    else {
      expectProblem(answer, 503, 'rate-limit-unavailable');
      expect(answer.headers['retry-after']).toBe('1');
    }
  }

  /** Waits until a call is counted again. */
  const counts = (gateway: Gateway, withinMs = 2_000) =>
    until(
      async () => (await ask(gateway)).headers.ratelimit !== undefined,
      'a call is counted again',
      withinMs + noiseMs,
    );

  /** Asserts that no call waits for Redis: calls take about as long as the health check, which does not use Redis. */
  async function expectAtOnce(gateway: Gateway, forMs: number): Promise<void> {
    const [calls, checks]: [number[], number[]] = [[], []];
    const end = Date.now() + forMs;
    while (Date.now() < end || calls.length < 9) {
      const { result, ms } = await timed(() => ask(gateway));
      expectFailPath(gateway, result);
      calls.push(ms);
      checks.push((await timed(() => send(gateway, '/health'))).ms);
    }
    // Checks the first 5 separately: later the gateway may have closed the hung connection, and no call waits for it.
    for (const count of [5, calls.length]) {
      const [call, check] = [median(calls.slice(0, count)), median(checks.slice(0, count))];
      expect(call, `median milliseconds of ${count} calls`).toBeLessThan(check + 0.75 * commandBudgetMs);
    }
  }

  test('start without it, and are healthy', async () => {
    await startWithoutRedis();
    await both(async (gateway) => expect((await send(gateway, '/health')).status).toBe(200));
  });

  test('answer at once while it was never there, by whenRedisFails, and say so once', async () => {
    await startWithoutRedis();
    await both((gateway) => expectAtOnce(gateway, 400));
    await expectOutages('redis lost');
    const lines = await both((gateway) => gateway.waitForLog(({ msg }) => msg === 'redis lost'));
    expect(lines.map(({ level, reason }) => [level, typeof reason])).toEqual(Array(2).fill([40, 'string']));
  });

  test('let earlier stages answer first, Redis or not', async () => {
    await startWithoutRedis();
    await both(async (gateway) => {
      expectProblem(await send(gateway, '/nowhere'), 404, 'no-route');
      expectProblem(await send(gateway, '/protected'), 401, 'key-required');
      expectProblem(await send(gateway, '/a', { headers: { 'X-API-Key': 'wrong' } }), 401, 'unknown-key');
      expect((await send(gateway, '/health')).status).toBe(200);
    });
  });

  test('log the refusal as one of the limit stage, and ask no service', async () => {
    await startWithoutRedis();
    const expectCalls = countCalls({ service });
    await send(rejecting, '/a/refused', { headers: key });
    expectCalls(0);
    const line = await rejecting.waitForLog(({ path }) => path === '/a/refused');
    expect(line).toMatchObject({ status: 503, refusedBy: 'limit', client: 'client-1' });
  });

  test('log what they decided without a count', async () => {
    await startWithoutRedis();
    const decisions = await both(async (gateway) => {
      await send(gateway, '/a/decided', { headers: key });
      return (await gateway.waitForLog(({ path }) => path === '/a/decided')).limit;
    });
    expect(decisions).toEqual(['degraded_allowed', 'degraded_rejected']);
  });

  test('find it when it comes, and limit', async () => {
    await startWithoutRedis();
    await expectOutages('redis lost');
    await redis.restart();
    await both((gateway) => counts(gateway));
    await expectOutages('redis lost', 'redis found');
    const headers = { 'X-Forwarded-For': '203.0.113.1' };
    const statuses: number[] = [];
    for (const gateway of [allowing, rejecting, allowing, rejecting, allowing]) {
      statuses.push((await ask(gateway, headers)).status);
    }
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
  });

  test('answer every call when it is killed under them', async () => {
    await startWithRedis();
    const calls = both((gateway) => Promise.all(Array.from({ length: 40 }, () => timed(() => ask(gateway)))));
    await redis.kill();
    const [allowed, rejected] = await calls;
    for (const { result, ms } of allowed) {
      expect(result.status).toBe(200);
      expect(ms).toBeLessThan(commandBudgetMs + 2 * noiseMs);
    }
    for (const { result, ms } of rejected) {
      expect([200, 503]).toContain(result.status);
      expect(ms).toBeLessThan(commandBudgetMs + 2 * noiseMs);
    }
    await both((gateway) => expectAtOnce(gateway, 300));
  });

  test('limit again soon after it was restarted, though it has forgotten the script', async () => {
    await startWithRedis();
    await redis.kill();
    await both((gateway) => gateway.waitForLog(({ msg }) => msg === 'redis lost'));
    await redis.restart();
    await both((gateway) => counts(gateway));
    expect(await redis.command('PTTL', bucket)).toBeGreaterThan(0);
  });

  test('wait for a frozen one for the budget at most, and not at all when it is lost', async () => {
    await startWithRedis();
    redis.freeze();
    await both(async (gateway) => {
      const first = await Promise.all(Array.from({ length: 10 }, () => timed(() => ask(gateway))));
      for (const { result, ms } of first) {
        expectFailPath(gateway, result);
        expect(ms, 'milliseconds until a call goes on').toBeLessThan(commandBudgetMs + noiseMs);
      }
      // A busy machine delays some of the calls, but rarely the fastest of ten.
      const fastestMs = Math.min(...first.map(({ ms }) => ms));
      expect(fastestMs, 'milliseconds until the first of ten goes on').toBeLessThan(commandBudgetMs + 500);
      // Long enough for several probes of Redis, which get no reply either.
      await expectAtOnce(gateway, 1_500);
      expect((await send(gateway, '/health')).status).toBe(200);
    });
  });

  test('limit again when it goes on', async () => {
    await startWithRedis();
    redis.freeze();
    await both(async (gateway) => {
      await ask(gateway);
      await gateway.waitForLog(({ msg }) => msg === 'redis lost');
    });
    redis.thaw();
    await both((gateway) => counts(gateway));
    const found = await both((gateway) => gateway.waitForLog(({ msg }) => msg === 'redis found'));
    expect(found.map(({ level }) => level)).toEqual([30, 30]);
  });

  test('ask no service for a client that left while they waited for a frozen one', async () => {
    await startWithRedis();
    const before = service.begun();
    let served = 0;
    redis.freeze();
    const frozen = both(async (gateway) => {
      const client = await connect(gateway);
      await new Promise((resolve) => client.socket.write('GET /a/left HTTP/1.1\r\nHost: a\r\n\r\n', resolve));
      client.socket.destroy();
      const line = await gateway.waitForLog(({ path }) => path === '/a/left');
      expect(line).toMatchObject({ status: 499 });
      // When Redis is lost no request waits. A wrongly kept one would reach the service before the next call does.
      await until(async () => {
        const { result, ms } = await timed(() => ask(gateway));
        expectFailPath(gateway, result);
        if (gateway === allowing) served++;
        return ms < 0.75 * commandBudgetMs;
      }, 'Redis is lost');
    });
    await frozen.finally(() => redis.thaw());
    const calls = service.begun() - before;
    await both((gateway) => counts(gateway));
    expect(calls, 'calls for clients that stayed').toBe(served);
  });

  test.each([
    ['a counter of another type', ['EVAL', list, '1', bucket], ['DEL', bucket]],
    ['a counter that is no number', ['EVAL', noNumber, '1', bucket], ['DEL', bucket]],
    ['no memory left', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
    ['a replica that may not write', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
  ])('take an error of Redis for a failure: %s', async (_what, spoil, mend) => {
    await startWithRedis();
    await redis.command('DEL', bucket);
    await redis.command(...spoil);
    await both(async (gateway) => {
      const { result, ms } = await timed(() => ask(gateway));
      expectFailPath(gateway, result);
      expect(ms).toBeLessThan(commandBudgetMs + noiseMs);
    });
    await redis.command(...mend);
    await both((gateway) => counts(gateway));
  });

  test('stop at SIGTERM while it is frozen', async () => {
    await startWithRedis();
    redis.freeze();
    await ask(allowing);
    const { code, ms } = await allowing.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(2_000 + noiseMs);
  });

  test('stop at SIGTERM while it is gone', async () => {
    await startWithRedis();
    await redis.kill();
    await ask(rejecting);
    const { code, ms } = await rejecting.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(2_000 + noiseMs);
  });
});

describe.skipIf(!redisAvailable)('one counter of Redis that cannot count', () => {
  let redis: RedisServer;
  /** whenRedisFails is "allow". */
  let allowing: Gateway;
  /** whenRedisFails is "reject". */
  let rejecting: Gateway;

  beforeAll(async () => {
    const service = await startUpstream();
    redis = await startRedis();
    const env = { REDIS_URL: redis.url };
    [allowing, rejecting] = await Promise.all([
      startGateway(configWith('allow', service), { env }),
      startGateway(configWith('reject', service), { env }),
    ]);
  });

  afterAll(async () => {
    await Promise.all([allowing?.stop(), rejecting?.stop()]);
    await redis?.close();
  });

  let addresses = 0;
  const newAddress = () => `203.0.113.${++addresses}`;
  const ask = (gateway: Gateway, address: string) =>
    send(gateway, '/a/1', { headers: { 'X-Forwarded-For': address } });
  const losses = () =>
    [allowing, rejecting].flatMap((gateway) => gateway.log()).filter(({ msg }) => msg === 'redis lost')
      .length;

  /** Waits until both gateways count, and returns the number of outages until then. */
  async function settle(): Promise<number> {
    for (const gateway of [allowing, rejecting]) {
      await until(
        async () => (await ask(gateway, newAddress())).headers.ratelimit !== undefined,
        'it counts',
      );
    }
    return losses();
  }

  test.each([
    ['a list', list],
    ['no number', noNumber],
  ])('degrades its own client only, and is no outage: %s', async (_what, script) => {
    for (let attempt = 1; ; attempt++) {
      const before = await settle();
      const [own, other] = [newAddress(), newAddress()];
      await redis.command('EVAL', script, '1', `gateway:{address:${own}}`);
      const answers: Answer[] = [];
      for (const gateway of [allowing, rejecting, allowing, rejecting, allowing]) {
        const answer = await ask(gateway, own);
        expectUncounted(answer);
        if (gateway === allowing) expect(answer.status).toBe(200);
        else expectProblem(answer, 503, 'rate-limit-unavailable');
        answers.push(await ask(gateway, other));
      }
      await redis.command('DEL', `gateway:{address:${own}}`);
      const mended = await ask(allowing, own);
      // On an overloaded machine Redis may answer later than the gateway waits for it.
      if (attempt < 3 && losses() > before) continue;
      expect(losses() - before, 'lines "redis lost"').toBe(0);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429]);
      expect(quotaOf(mended)).toEqual({ policy: 'anonymous', remaining: 2, seconds: 60 });
      return;
    }
  });
});

describe.skipIf(!redisAvailable)('a Redis with a password', () => {
  const password = 'canary/p@ss:word';

  test('is used with the password of REDIS_URL, right or wrong, and no log shows it', async () => {
    const [redis, service] = await Promise.all([startRedis(), startUpstream()]);
    await redis.command('CONFIG', 'SET', 'requirepass', password);
    const start = (given: string) =>
      startGateway(configWith('allow', service), {
        env: { REDIS_URL: `redis://:${encodeURIComponent(given)}@127.0.0.1:${redis.port}/0` },
      });
    const [right, wrong] = await Promise.all([start(password), start('canary-wrong')]);

    expect(quotaOf(await send(right, '/a/1'))).toEqual({ policy: 'anonymous', remaining: 2, seconds: 60 });
    for (let i = 0; i < 5; i++) {
      const answer = await send(wrong, '/a/1');
      expect(answer.status).toBe(200);
      expectUncounted(answer);
    }
    await wrong.waitForLog(({ msg }) => msg === 'redis lost');
    const stopped = await Promise.all([right.stop(), wrong.stop()]);
    expect(stopped.map(({ code }) => code)).toEqual([0, 0]);
    expect(wrong.log().filter(({ msg }) => msg === 'redis lost')).toHaveLength(1);
    for (const gateway of [right, wrong]) {
      expect(gateway.stdout() + gateway.stderr()).not.toMatch(/canary|p@ss|p%40ss/);
    }
    await redis.close();
  });
});

describe.skipIf(!redisAvailable)('a database of Redis', () => {
  test('is the one that REDIS_URL names, or Redis counts as lost', async () => {
    const [redis, service] = await Promise.all([startRedis(), startUpstream()]);
    const start = (database: number) =>
      startGateway(configWith('allow', service), { env: { REDIS_URL: `${redis.url}/${database}` } });
    const [fifth, beyond] = await Promise.all([start(5), start(99)]);

    expect(quotaOf(await send(fifth, '/a/1'))).toEqual({ policy: 'anonymous', remaining: 2, seconds: 60 });
    for (let i = 0; i < 5; i++) expectUncounted(await send(beyond, '/a/1'));
    await beyond.waitForLog(({ msg }) => msg === 'redis lost');
    const databases = String(await redis.command('INFO', 'keyspace')).match(/^db\d+/gm);
    expect(databases).toEqual(['db5']);

    const stopped = await Promise.all([fifth.stop(), beyond.stop()]);
    expect(stopped.map(({ code }) => code)).toEqual([0, 0]);
    expect(beyond.log().filter(({ msg }) => /^redis (lost|found)$/.test(String(msg)))).toHaveLength(1);
    await redis.close();
  });

  test('is asked for again when Redis refused it for a time', async () => {
    const [redis, service] = await Promise.all([startRedis(), startUpstream()]);
    await redis.command('ACL', 'SETUSER', 'default', '-select');
    const gateway = await startGateway(configWith('allow', service), {
      env: { REDIS_URL: `${redis.url}/1` },
    });
    await gateway.waitForLog(({ msg }) => msg === 'redis lost');
    expectUncounted(await send(gateway, '/a/1'));
    await redis.command('ACL', 'SETUSER', 'default', '+select');
    const isCounted = async () => (await send(gateway, '/a/1')).headers.ratelimit !== undefined;
    await until(isCounted, 'calls are counted', 5_000);
    expect((await gateway.stop()).code).toBe(0);
    expect(String(await redis.command('INFO', 'keyspace')).match(/^db\d+/gm)).toEqual(['db1']);
    await redis.close();
  });
});

// Redis answers and the client breaks its upload while the gateway is stopped. The gateway finds both at the same moment.
describe.skipIf(!redisAvailable || process.platform === 'win32')('an upload over the limit', () => {
  const linesOf = (gateway: Gateway) => gateway.log().filter(({ path }) => path === '/a/2');

  test('that breaks at the moment of its refusal gets one answer, and the log says which', async () => {
    const [redis, service] = await Promise.all([startRedis(), startUpstream()]);
    const gateway = await startGateway(configWith('allow', service), { env: { REDIS_URL: redis.url } });
    for (let i = 0; i < 3; i++) expect((await send(gateway, '/a/1')).status).toBe(200);
    for (let round = 0; round < 5; round++) {
      const client = await connect(gateway);
      redis.freeze();
      client.socket.write('POST /a/2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
      // The gateway has had time to ask Redis when it has answered three others.
      for (let i = 0; i < 3; i++) expect((await send(gateway, '/health')).status).toBe(200);
      process.kill(gateway.pid, 'SIGSTOP');
      redis.thaw();
      await redis.command('PING'); // by now it has answered the gateway
      await new Promise((resolve) => client.socket.write('nonsense\r\n', resolve));
      process.kill(gateway.pid, 'SIGCONT');
      await until(() => client.closed(), 'the connection is closed');
      await until(() => linesOf(gateway).length === round + 1, 'the request is in the log');
      const answers = answersIn(client.received());
      expect(answers).toHaveLength(1);
      // The log tells what the client got.
      const line = linesOf(gateway).at(-1);
      expect([400, 429]).toContain(answers[0]?.status);
      expect(line).toMatchObject({
        status: answers[0]?.status,
        refusedBy: answers[0]?.status === 429 ? 'limit' : 'parse',
      });
    }
    expect((await gateway.stop()).code).toBe(0);
    await redis.close();
  });
});

describe('an answer of Redis that says it cannot count', () => {
  test.each([
    'READONLY You can only write against a writable replica.',
    'CLUSTERDOWN The cluster is down',
    'LOADING Redis is loading the dataset in memory',
    'NOAUTH Authentication required.',
    "NOPERM User gateway has no permissions to run the 'evalsha' command",
    "OOM command not allowed when used memory > 'maxmemory'.",
    'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    'MASTERDOWN Link with MASTER is down',
    'MOVED 866 127.0.0.1:7001',
    'ERR upstream failure of a proxy',
  ])('is an outage at once, and ends with a new connection: %s', async (error) => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url, { whenRedisFails: 'reject' });
    await counts(gateway);

    // The connections of this moment never count again, like those of an old primary after a failover.
    const last = redis.connections();
    redis.behave(([name], connection) => (name.startsWith('eval') && connection <= last ? error : undefined));
    expectProblem(await ask(gateway), 503, 'rate-limit-unavailable');
    const lost = await gateway.waitForLog(({ msg }) => msg === 'redis lost');
    expect(lost.reason).toBe(error);
    await counts(gateway);
    await gateway.waitForLog(({ msg }) => msg === 'redis found');
    expect(outageLines(gateway)).toHaveLength(2);
    expect(gateway.stderr()).toBe('');
    await gateway.stop();
  });

  test('is asked for on new connections only, with pauses that grow', async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url);
    await counts(gateway);
    const times: number[] = [];
    redis.behave(([name], connection) => {
      if (!name.startsWith('eval')) return undefined;
      times[connection] ??= performance.now();
      return 'CLUSTERDOWN The cluster is down';
    });
    const first = redis.connections() + 1;
    await ask(gateway);
    await until(() => times[first + 4] !== undefined, 'five new connections', 8_000);
    // The pauses before these connections are 500 ms and three times 1 s, each shortened by up to a half.
    const pauses = [1, 2, 3, 4].map((i) => Number(times[first + i]) - Number(times[first + i - 1]));
    for (const [i, atLeast] of [250, 500, 500, 500].entries()) {
      expect(pauses[i], `pause ${i + 1}`).toBeGreaterThanOrEqual(atLeast - 10);
      expect(pauses[i], `pause ${i + 1}`).toBeLessThan(longestPauseMs + noiseMs);
    }
    await gateway.stop();
  });
});

describe('an error about one key', () => {
  test('degrades its own bucket only, and is no outage', async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url, { limit: 3 });
    await counts(gateway);
    redis.behave((command) =>
      command.includes('gateway:{address:203.0.113.7}') ? 'WRONGTYPE wrong kind of value' : undefined,
    );
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) {
      const own = await ask(gateway, '203.0.113.7');
      expect([own.status, isCounted(own)]).toEqual([200, false]);
      statuses.push((await ask(gateway, '203.0.113.8')).status);
    }
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    expect(outageLines(gateway)).toEqual([]);
    await gateway.stop();
  });

  test('is no outage either when it is the key with which the gateway checks Redis', async () => {
    const redis = await startFakeRedis();
    redis.behave((command) =>
      command.includes('gateway:{probe}')
        ? 'WRONGTYPE Operation against a key holding the wrong kind of value'
        : undefined,
    );
    const gateway = await startLimited(redis.url);
    for (let i = 0; i < 5; i++) expect(isCounted(await ask(gateway))).toBe(true);
    redis.closeConnections();
    await counts(gateway);
    await gateway.stop();
  });
});

// On an overloaded machine an answer may be late although no test holds it back, so some tests are retried.
describe('late answers of Redis', () => {
  test('cost the requests that waited for more than 200 ms, and are no outage', { retry: 2 }, async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url, { whenRedisFails: 'reject' });
    await counts(gateway);
    for (let stall = 1; stall <= 3; stall++) {
      redis.pause();
      const late = await Promise.all(Array.from({ length: 10 }, () => ask(gateway)));
      redis.resume();
      for (const answer of late) expectProblem(answer, 503, 'rate-limit-unavailable');
      expect(isCounted(await ask(gateway))).toBe(true);
    }
    expect(redis.connections()).toBe(1);
    expect(outageLines(gateway)).toEqual([]);
    await gateway.stop();
  });

  test('are an outage when nothing has arrived for 500 ms', async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url, { whenRedisFails: 'reject' });
    await counts(gateway);
    redis.pause();
    const begin = performance.now();
    expectProblem(await ask(gateway), 503, 'rate-limit-unavailable');
    const lost = await gateway.waitForLog(({ msg }) => msg === 'redis lost');
    expect(performance.now() - begin).toBeGreaterThan(450);
    expect(performance.now() - begin).toBeLessThan(500 + noiseMs);
    expect(lost.reason).toBe('no answer within 500 ms');
    redis.resume();
    await counts(gateway);
    await gateway.stop();
  });

  test('are counted when the process of the gateway was paused', { retry: 2 }, async () => {
    // Each answer is on its way for 50 ms, so there are commands without an answer at every moment.
    const redis = await startFakeRedis(50);
    const gateway = await startLimited(redis.url, { whenRedisFails: 'reject' });
    await counts(gateway);
    const agent = new http.Agent({ keepAlive: true });
    let running = true;
    let sent = 0;
    const answers: Answer[] = [];
    const callers = Array.from({ length: 20 }, async () => {
      while (running) {
        sent++;
        answers.push(await ask(gateway, '203.0.113.2', { agent }));
      }
    });
    await until(() => answers.length > 100, 'the load runs');
    // The pause begins while the gateway handles these. In an idle process the sockets would be read before timers run.
    const busy = await Promise.all(Array.from({ length: 100 }, () => connect(gateway)));
    const firstAnswer = Promise.race(busy.map(({ socket }) => once(socket, 'data')));
    for (const { socket } of busy) socket.write('GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20));
    await firstAnswer;
    process.kill(gateway.pid, 'SIGSTOP');
    await sleep(1_500); // the length of the pause
    process.kill(gateway.pid, 'SIGCONT');
    const before = answers.length;
    await until(() => answers.length > before + 100, 'the load runs again');
    running = false;
    await Promise.all(callers);
    agent.destroy();
    for (const { socket } of busy) socket.destroy();
    expect(answers.filter((answer) => !isCounted(answer)).length, 'requests without a count').toBe(0);
    expect(redis.counted('gateway:{address:203.0.113.2}')).toBe(sent);
    expect(outageLines(gateway)).toEqual([]);
    await gateway.stop();
  });
});
