import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, expectProblem, send, until } from './harness/client.ts';
import { configFor, type Gateway, startGateway } from './harness/gateway.ts';
import { type RedisServer, redisAvailable, startRedis } from './harness/redis.ts';
import { startUpstream, type Upstream } from './harness/upstream.ts';

// Added to the time limits of the contract, because a busy machine is late.
const noiseMs = 1_500;

/** Forwards each new connection to the target of that moment. Connections that are open stay where they are. */
interface Forwarder {
  readonly url: string;
  forwardTo(target: RedisServer): void;
  close(): void;
}

// The order of these tests matters: each one starts with Redis in the state that the previous one left.
describe.skipIf(!redisAvailable)('two gateways whose Redis moves to another server', () => {
  let first: RedisServer;
  let second: RedisServer;
  let forwarder: Forwarder;
  let service: Upstream;
  /** whenRedisFails is "allow". */
  let allowing: Gateway;
  /** whenRedisFails is "reject". */
  let rejecting: Gateway;

  beforeAll(async () => {
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

  afterAll(async () => {
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

  test('count nothing while it is a replica, by whenRedisFails', async () => {
    await first.command('REPLICAOF', '127.0.0.1', String(second.port));
    await both((gateway) => until(async () => !isCounted(await ask(gateway)), 'a request is not counted'));
    const [allowed, rejected] = await both((gateway) => ask(gateway));
    expect([isCounted(allowed), allowed.status]).toEqual([false, 200]);
    expectProblem(rejected, 503, 'rate-limit-unavailable');
  });

  test('limit again within 2 s after new connections lead to the new primary', async () => {
    forwarder.forwardTo(second);
    await both((gateway) => counts(gateway, 2_000 + noiseMs));
    await expectLimit(second);
    await both((gateway) => gateway.waitForLog(({ msg }) => msg === 'redis found'));
    expect([allowing.stderr(), rejecting.stderr()], 'stderr of both').toEqual(['', '']);
  });
});

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
