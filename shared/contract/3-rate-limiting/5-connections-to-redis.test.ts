// A connection that Redis closes is no outage: the next request opens a new one and is counted. The log has
// the cause of an outage once, and never a password. When Redis moves to another server, the gateways follow
// within 2 s.

import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../process/ports.ts';
import { unvouched } from '../harness/certificates.ts';
import { type Answer, expectProblem, send, until } from '../harness/client.ts';
import { type FakeRedis, startFakeRedis } from '../harness/fake-redis.ts';
import { configFor, type Gateway, startAndFail, startGateway } from '../harness/gateway.ts';
import { ask, counts, isCounted, limitedConfig, outageLines, startLimited } from '../harness/limited.ts';
import { type RedisServer, redisAvailable, startClusterNode, startRedis } from '../harness/redis.ts';
import { startUpstream, type Upstream } from '../harness/upstream.ts';

// Added to the time limits of the contract, because a busy machine is late.
const noiseMs = 1_500;
const foldMs = 10_000;

/** Forwards each new connection to the target of that moment. Connections that are open stay where they are. */
interface Forwarder {
  readonly url: string;
  forwardTo(target: RedisServer): void;
  close(): void;
}

async function startForwarder(to: RedisServer): Promise<Forwarder> {
  let { port } = to;
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const target = net.connect(port, '127.0.0.1');
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(socket);
      socket.pipe(other);
      socket.on('error', () => {}); // 'close' follows
      socket.once('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `redis://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    forwardTo(target) {
      port = target.port;
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

describe('a connection that Redis closes', () => {
  test('is no outage: the next request waits for the new connection, and is counted', async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url, { whenRedisFails: 'reject' });
    await counts(gateway);
    for (let round = 1; round <= 3; round++) {
      const [connections, begin] = [redis.connections(), performance.now()];
      // A new connection that is closed at once is an outage, so the gateway needs one that is older.
      await until(() => performance.now() - begin > 1_000, 'the connection is idle');
      redis.closeConnections();
      redis.pause(); // the new connection is not usable yet
      const asked = ask(gateway);
      await until(() => redis.connections() > connections, 'the gateway connects again');
      redis.resume();
      expect(isCounted(await asked)).toBe(true);
    }
    expect(outageLines(gateway)).toEqual([]);
    expect(gateway.stderr()).toBe('');
    await gateway.stop();
  });

  test('costs a request that waits for a new one its own count, when Redis refuses its key', async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url);
    await counts(gateway);
    const [connections, begin] = [redis.connections(), performance.now()];
    await until(() => performance.now() - begin > 1_000, 'the connection is idle');
    redis.behave((command) =>
      command.includes('gateway:{address:203.0.113.7}') ? 'WRONGTYPE wrong kind of value' : undefined,
    );
    redis.closeConnections();
    redis.pause();
    const asked = ask(gateway, '203.0.113.7');
    await until(() => redis.connections() > connections, 'the gateway connects again');
    redis.resume();
    const answer = await asked;
    expect([answer.status, isCounted(answer)]).toEqual([200, false]);
    expect(isCounted(await ask(gateway))).toBe(true);
    expect(outageLines(gateway)).toEqual([]);
    await gateway.stop();
    expect(gateway.stderr()).toBe('');
  });

  test.skipIf(!redisAvailable)('is no outage when Redis closes idle connections', async () => {
    const redis = await startRedis('--timeout', '1');
    const gateway = await startLimited(redis.url, { whenRedisFails: 'reject' });
    /** The connection of the gateway: the one whose last command is the counter. */
    const connection = async () =>
      /^id=(\d+) .* cmd=eval/m.exec(String(await redis.command('CLIENT', 'LIST')))?.[1];
    await counts(gateway);
    for (let round = 1; round <= 2; round++) {
      const idle = await connection();
      await until(async () => (await connection()) !== idle, 'Redis closes the idle connection', 10_000);
      expect(isCounted(await ask(gateway))).toBe(true);
    }
    expect(outageLines(gateway)).toEqual([]);
    await gateway.stop();
    await redis.close();
  });

  test('is an outage when it was new', async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url);
    redis.behave(() => {
      setImmediate(redis.closeConnections);
      return undefined;
    });
    await ask(gateway);
    await gateway.waitForLog(({ msg }) => msg === 'redis lost');
    const connections = redis.connections();
    await sleep(1_000); // long enough for many connections without a pause
    expect(redis.connections() - connections).toBeLessThan(20);
    redis.behave(() => undefined);
    await counts(gateway);
    await gateway.stop();
  });

  test('is noticed without a request when no new one can be opened', async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url);
    redis.behave(([name]) => (name.startsWith('eval') ? 'LOADING Redis is loading' : undefined));
    redis.closeConnections();
    const lost = await gateway.waitForLog(({ msg }) => msg === 'redis lost');
    expect(lost.reason).toMatch(/LOADING|closed/);
    await gateway.stop();
  });
});

describe('the cause of an outage', () => {
  const password = 'canary-secret';

  async function tlsUrl(): Promise<string> {
    const server = tls.createServer(unvouched, (socket) => void socket.on('error', () => {}));
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1').unref();
    await once(server, 'listening');
    return `rediss://:${password}@127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const withRedis = async (makeUrl: (redis: FakeRedis) => string) => {
    const redis = await startFakeRedis();
    redis.behave(([name]) =>
      name === 'auth' ? 'WRONGPASS invalid username-password pair or user is disabled.' : undefined,
    );
    return makeUrl(redis);
  };

  test.each([
    ['nothing listens', async () => `redis://:${password}@127.0.0.1:${await freePort()}`, /ECONNREFUSED/],
    [
      'nothing listens at any address of the name',
      async () => `redis://localhost:${await freePort()}`,
      /ECONNREFUSED/,
    ],
    ['the name is unknown', async () => `redis://:${password}@no-such-name.invalid`, /no-such-name\.invalid/],
    [
      'the password is wrong',
      () => withRedis(({ port }) => `redis://:${password}@127.0.0.1:${port}`),
      /^WRONGPASS invalid username-password pair/,
    ],
    [
      'a TLS URL leads to a port without TLS',
      () => withRedis(({ port }) => `rediss://127.0.0.1:${port}`),
      /TLS/,
    ],
    ['no authority vouches for the certificate', tlsUrl, /certificate/],
  ])('is in the log, once: %s', async (_what, makeUrl, reason) => {
    const gateway = await startLimited(await makeUrl());
    const lost = await gateway.waitForLog(({ msg }) => msg === 'redis lost');
    expect(lost.reason).toMatch(reason);
    expect(lost.reason).not.toMatch(/writeable|\n|openssl|\.c:\d/);
    for (let i = 0; i < 5; i++) expect(isCounted(await ask(gateway))).toBe(false);
    expect((await gateway.stop()).code).toBe(0);
    expect(outageLines(gateway)).toHaveLength(1);
    expect(gateway.stderr()).toBe('');
    expect(gateway.stdout()).not.toContain(password);
  });
});

describe.skipIf(!redisAvailable)('a real Redis', () => {
  test.each([
    ['with the rights that config.md lists', ['+cluster|info']],
    ['without the right to run CLUSTER INFO', []],
  ])('counts for a user %s, and stderr stays empty', async (_what, more) => {
    const redis = await startRedis();
    const rights = ['~gateway:*', '+evalsha', '+eval', '+pttl', '+incr', '+set', '+select', ...more];
    await redis.command('ACL', 'SETUSER', 'gateway', 'on', '>canary-secret', ...rights);
    await redis.command('ACL', 'SETUSER', 'default', '-info'); // what a client sends before it logs in
    const gateway = await startLimited(`redis://gateway:canary-secret@127.0.0.1:${redis.port}/2`, {
      limit: 2,
    });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await ask(gateway)).status);
    expect(statuses).toEqual([200, 200, 429]);
    const refused = (await redis.command('ACL', 'LOG')) as unknown[][];
    expect(refused.filter((entry) => !entry.includes('cluster|info'))).toEqual([]);
    expect(outageLines(gateway)).toEqual([]);
    await gateway.stop();
    expect(gateway.stderr()).toBe('');
    await redis.close();
  });

  test('is used with a password that it does not ask for, and stderr stays empty', async () => {
    const redis = await startRedis();
    const gateway = await startLimited(`redis://:canary-secret@127.0.0.1:${redis.port}`);
    expect(isCounted(await ask(gateway))).toBe(true);
    await gateway.stop();
    expect(gateway.stderr()).toBe('');
    await redis.close();
  });

  test('that is a node of a cluster is refused at the start, with one message', async () => {
    const redis = await startClusterNode();
    const config = await limitedConfig();
    const { code, stdout, stderr } = await startAndFail(config, { env: { REDIS_URL: redis.url } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^REDIS_URL .*cluster.*\n$/i);
    expect(stdout).not.toContain('listening');
    await redis.close();
  });

  test('that is a replica is refused at the start, with one message', async () => {
    const primary = await startRedis();
    const redis = await startRedis('--replicaof', `127.0.0.1 ${primary.port}`);
    const config = await limitedConfig();
    const { code, stdout, stderr } = await startAndFail(config, { env: { REDIS_URL: redis.url } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^REDIS_URL .*replica.*\n$/i);
    expect(stdout).not.toContain('listening');
    await Promise.all([redis.close(), primary.close()]);
  });

  test('counts apart for gateways with different prefixes, and together for equal ones', async () => {
    const redis = await startRedis();
    const [live, other, live2] = [
      await startLimited(redis.url, { limit: 2, keyPrefix: 'live' }),
      await startLimited(redis.url, { limit: 2, keyPrefix: 'test.eu:1_a-b' }),
      await startLimited(redis.url, { limit: 2, keyPrefix: 'live' }),
    ];
    const statuses: number[] = [];
    for (const gateway of [live, live2, live, other, other, other])
      statuses.push((await ask(gateway)).status);
    expect(statuses).toEqual([200, 200, 429, 200, 200, 429]);
    const keys = (await redis.command('KEYS', '*')) as string[];
    expect(keys.filter((key) => !key.includes('{probe}')).toSorted()).toEqual([
      'live:{address:203.0.113.1}',
      'test.eu:1_a-b:{address:203.0.113.1}',
    ]);
    expect(keys.filter((key) => !/^(live|test\.eu:1_a-b):/.test(key))).toEqual([]);
    await Promise.all([live, other, live2].map((gateway) => gateway.stop()));
    await redis.close();
  });
});

// Each test moves Redis, so each one has servers and gateways of its own.
describe.skipIf(!redisAvailable)('two gateways whose Redis moves to another server', () => {
  let first: RedisServer;
  let second: RedisServer;
  let forwarder: Forwarder;
  let service: Upstream;
  /** whenRedisFails is "allow". */
  let allowing: Gateway;
  /** whenRedisFails is "reject". */
  let rejecting: Gateway;

  beforeEach(async () => {
    [first, second, service] = await Promise.all([startRedis(), startRedis(), startUpstream()]);
    forwarder = await startForwarder(first);
    const start = (whenRedisFails: 'allow' | 'reject') =>
      startGateway(
        configFor(
          {
            services: { a: { url: service.url, timeoutMs: 5_000 } },
            routes: [{ prefix: '/a', service: 'a', access: 'public' }],
            trustedProxies: ['127.0.0.1'],
            rateLimit: {
              identified: { limit: 3, windowMs: 60_000 },
              anonymous: { limit: 3, windowMs: 60_000 },
              whenRedisFails,
            },
          },
          3,
        ),
        { env: { REDIS_URL: forwarder.url } },
      );
    [allowing, rejecting] = await Promise.all([start('allow'), start('reject')]);
  });

  afterEach(async () => {
    await Promise.all([allowing?.stop(), rejecting?.stop()]);
    forwarder?.close();
    await Promise.all([first?.close(), second?.close()]);
  });

  const both = <T>(act: (gateway: Gateway) => Promise<T>) => Promise.all([act(allowing), act(rejecting)]);
  let addresses = 0;
  const newAddress = () => `203.0.113.${++addresses}`;
  const bucket = (address: string) => `gateway:{address:${address}}`;
  const ask = (gateway: Gateway, address = newAddress()): Promise<Answer> =>
    send(gateway, '/a/1', { headers: { 'X-Forwarded-For': address } });
  const isCounted = (answer: Answer) => answer.headers.ratelimit !== undefined;
  const counts = (gateway: Gateway, withinMs?: number) =>
    until(async () => isCounted(await ask(gateway)), 'a request is counted', withinMs);

  /** Asserts that both gateways count together in this Redis: 3 of 5 requests from one address pass. */
  async function expectLimit(redis: RedisServer): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const address = newAddress();
      const answers: Answer[] = [];
      for (const gateway of [allowing, rejecting, allowing, rejecting, allowing]) {
        answers.push(await ask(gateway, address));
      }
      // On an overloaded machine Redis may answer later than the gateway waits for it.
      if (attempt < 3 && !answers.every(isCounted)) {
        await both((gateway) => counts(gateway));
        continue;
      }
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429]);
      expect(await redis.command('GET', bucket(address))).toBe('5');
      return;
    }
  }

  test('limit before', async () => {
    await expectLimit(first);
  });

  /** Makes the first Redis a replica, and waits until both gateways have noticed that it cannot count. */
  async function demoteFirst(): Promise<void> {
    await both((gateway) => counts(gateway));
    await first.command('REPLICAOF', '127.0.0.1', String(second.port));
    await both((gateway) => until(async () => !isCounted(await ask(gateway)), 'a request is not counted'));
  }

  test('count nothing while it is a replica, by whenRedisFails', async () => {
    await demoteFirst();
    const [allowed, rejected] = await both((gateway) => ask(gateway));
    expect([isCounted(allowed), allowed.status]).toEqual([false, 200]);
    expectProblem(rejected, 503, 'rate-limit-unavailable');
  });

  test('limit again within 2 s after new connections lead to the new primary', async () => {
    await demoteFirst();
    forwarder.forwardTo(second);
    await both((gateway) => counts(gateway, 2_000 + noiseMs));
    await expectLimit(second);
    await both((gateway) => gateway.waitForLog(({ msg }) => msg === 'redis found'));
    expect([allowing.stderr(), rejecting.stderr()], 'stderr of both').toEqual(['', '']);
  });
});

describe.skipIf(!redisAvailable)('a gateway whose Redis is replaced by a node of a cluster', () => {
  test('stays without Redis, with one line in the log', async () => {
    const [first, node] = await Promise.all([startRedis(), startClusterNode()]);
    await node.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    const serves = async () => String(await node.command('CLUSTER', 'INFO')).includes('cluster_state:ok');
    await until(serves, 'the node serves all slots');
    const forwarder = await startForwarder(first);
    const gateway = await startLimited(forwarder.url);
    await counts(gateway);
    const connections = async () =>
      Number(/total_connections_received:(\d+)/.exec(String(await node.command('INFO', 'stats')))?.[1]);
    const before = await connections();
    forwarder.forwardTo(node);
    await first.close();
    await gateway.waitForLog(({ msg }) => msg === 'redis lost');
    let looks = 0; // each look at the number is a connection, too
    await until(async () => (await connections()) - ++looks >= before + 3, 'three more connections', 10_000);
    expect(isCounted(await ask(gateway))).toBe(false);
    expect(outageLines(gateway)).toHaveLength(1);
    await gateway.stop();
    forwarder.close();
    await node.close();
  });
});

describe('an outage that comes and goes', () => {
  test('has one line in 10 s, which says the state and the number of changes', async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url);
    await counts(gateway);
    let changes = 0;
    const fail = async () => {
      redis.behave(([name]) => (name.startsWith('eval') ? 'LOADING Redis is loading' : undefined));
      await until(async () => !isCounted(await ask(gateway)), 'Redis is lost');
      changes++;
    };
    const recover = async () => {
      redis.behave(() => undefined);
      await counts(gateway);
      changes++;
    };
    await fail();
    await recover();
    await until(() => outageLines(gateway).length === 2, 'the first two changes are in the log');
    const begin = performance.now();
    for (let i = 0; i < 3; i++) {
      await fail();
      await recover();
    }
    await fail();
    expect(performance.now() - begin, 'ms of the changes').toBeLessThan(foldMs);
    expect(outageLines(gateway)).toHaveLength(2);
    await until(() => outageLines(gateway).length > 2, 'the changes are in the log', foldMs + noiseMs);
    expect(performance.now() - begin).toBeGreaterThan(foldMs - noiseMs);
    expect(outageLines(gateway).map(({ msg, changes: counted }) => [msg, counted])).toEqual([
      ['redis lost', undefined],
      ['redis found', undefined],
      ['redis lost', changes - 2],
    ]);
    await recover();
    await until(() => outageLines(gateway).length === 4, 'the end of a logged outage is logged at once');
    expect(outageLines(gateway)[3]).toMatchObject({ msg: 'redis found' });
    await gateway.stop();
  });
});
