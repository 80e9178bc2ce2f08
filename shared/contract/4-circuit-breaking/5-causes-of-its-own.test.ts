// The gateway itself can be the cause of a failed call: its process was paused, it has no descriptors left, a
// reused connection ended at the moment of a request. No circuit opens because of that. A circuit opens when
// a service breaks new connections as well.

import http from 'node:http';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem, send, until } from '../harness/client.ts';
import { configFor, type Gateway, type GatewayConfig, startGateway } from '../harness/gateway.ts';
import {
  canLimitDescriptors,
  canPause,
  holdCalls,
  pauseWhileAnswered,
  startLateService,
  useUpDescriptors,
} from '../harness/local-causes.ts';
import { namespacesAvailable, startNameServer } from '../harness/name-server.ts';
import { nginxAvailable, startNginx } from '../harness/nginx.ts';
import { startUpstream, type Upstream } from '../harness/upstream.ts';

const threshold = 3;
const timeoutMs = 3_000;
const callers = 8;
// A busy machine is late.
const noiseMs = 3_000;

/** A config with a service and a route for each name. An open circuit stays open for longer than any test. */
function configTo(urls: Record<string, string>, limitMs = timeoutMs): GatewayConfig {
  return configFor(
    {
      services: Object.fromEntries(
        Object.entries(urls).map(([name, url]) => [name, { url, timeoutMs: limitMs }]),
      ),
      routes: Object.keys(urls).map((name) => ({ prefix: `/${name}`, service: name })),
      circuitBreaker: { failureThreshold: threshold, cooldownMs: 600_000 },
    },
    4,
  );
}

/** Asserts that the service is called again within a second, and that its circuit has never opened. */
async function expectUntouched(gateway: Gateway, service: string): Promise<void> {
  const target = `/${service}/after`;
  const isServed = () =>
    send(gateway, target).then(
      ({ status }) => status === 200,
      () => false,
    );
  await until(isServed, `${service} is called`, 1_000 + noiseMs);
  await gateway.waitForLog(({ path, status }) => path === target && status === 200);
  expect(
    gateway.log().filter(({ msg, service: name }) => msg === 'circuit opened' && name === service),
  ).toEqual([]);
}

const statuses = (gateway: Gateway, target: string, count: number): Promise<number[]> =>
  Promise.all(Array.from({ length: count }, async () => (await send(gateway, target)).status));

/** A service that keeps its connections open, and ends those that are reused when it is told to. */
interface Keeper {
  upstream: Upstream;
  /** How it ends connections from now on. All reused ones end when `callers` requests have arrived on them. */
  endReused(end: (socket: Socket) => void): void;
  /** From now on it ends every connection when a request arrives. */
  endAll(): void;
  /** From now on it answers every request. */
  recover(): void;
}

async function startKeeper(): Promise<Keeper> {
  const used = new Set<Socket>();
  let handle: http.RequestListener;
  const waiting: http.ServerResponse[] = [];
  /** The first calls wait for each other, so that each of them gets a connection. */
  const together =
    (finish: (response: http.ServerResponse) => void): http.RequestListener =>
    (_request, response) => {
      if (waiting.push(response) < callers) return;
      for (const each of waiting.splice(0)) finish(each);
    };
  const answer = (response: http.ServerResponse) => void response.end('kept');
  handle = together(answer);
  const upstream = await startUpstream((request, response) => {
    handle(request, response);
    used.add(request.socket);
  });
  return {
    upstream,
    endReused(end) {
      const endTogether = together(({ socket }) => end(socket as Socket));
      handle = (request, response) => {
        if (used.has(request.socket)) endTogether(request, response);
        else answer(response);
      };
    },
    endAll() {
      handle = (request) => void request.socket.resetAndDestroy();
    },
    recover() {
      handle = (_request, response) => answer(response);
    },
  };
}

const keepers: Record<string, Keeper> = {};
let gateway: Gateway;
const all = <T>(value: T) => Array.from({ length: callers }, () => value);

beforeAll(async () => {
  for (const name of ['resets', 'closes', 'broken']) keepers[name] = await startKeeper();
  const picky = await startUpstream((request, response) => {
    response.statusCode = request.method === 'GET' ? 200 : Number(request.url?.slice(1));
    response.end();
  });
  const urls = Object.entries(keepers).map(([name, { upstream }]) => [name, upstream.url]);
  gateway = await startGateway(
    configTo({ ...Object.fromEntries(urls), 'picky-501': picky.url, 'picky-505': picky.url }),
  );
});

afterAll(async () => {
  await gateway?.stop();
});

// Their gateways start one after the other, which counts as time of each test.
describe.concurrent('no circuit opens', { timeout: 90_000 }, () => {
  test.each([
    ['resets', (socket: Socket) => void socket.resetAndDestroy()],
    ['closes', (socket: Socket) => void socket.destroy()],
  ])('when a service %s reused connections at the moment of a request', async (name, end) => {
    const keeper = keepers[name] as Keeper;
    expect(await statuses(gateway, `/${name}`, callers)).toEqual(all(200));
    keeper.endReused(end);
    expect(await statuses(gateway, `/${name}`, callers)).toEqual(all(502));
    keeper.recover();
    await expectUntouched(gateway, name);
    expect(await statuses(gateway, `/${name}`, callers)).toEqual(all(200));
  });

  test.skipIf(!nginxAvailable)('while nginx reloads under load', async () => {
    const nginx = await startNginx();
    const own = await startGateway(configTo({ nginx: nginx.url }));
    const seen: number[] = [];
    let done = false;
    const agent = new http.Agent({ keepAlive: true });
    const load = async () => {
      while (!done) seen.push((await send(own, '/nginx', { agent })).status);
    };
    const loaded = Promise.all(Array.from({ length: callers }, load));
    try {
      for (let i = 0; i < 5; i++) {
        const enough = seen.length + 10 * callers;
        await until(() => seen.length >= enough, 'connections are reused', 15_000);
        await nginx.reload();
      }
    } finally {
      done = true;
      await loaded;
      agent.destroy();
    }
    expect(seen.filter((status) => status !== 200 && status !== 502)).toEqual([]);
    await expectUntouched(own, 'nginx');
    await own.stop();
  });

  test.skipIf(!canPause)('while the process is paused (not on Windows)', async () => {
    const held = holdCalls();
    let recovered = false;
    const service = await startUpstream((request, response) => {
      if (recovered) response.end();
      else held.handler(request, response);
    });
    const own = await startGateway(configTo({ service: service.url }));
    const answers = await pauseWhileAnswered(own, '/service', held, 5, timeoutMs);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    recovered = true;
    await expectUntouched(own, 'service');
    await own.stop();
  });

  test.skipIf(!canLimitDescriptors).each(['127.0.0.1', 'localhost'])(
    'while there are no descriptors left, with the service at %s (Linux only)',
    async (host) => {
      const { port } = await startUpstream();
      const own = await startGateway(configTo({ service: `http://${host}:${port}` }));
      const answers = await useUpDescriptors(own, '/service', 20);
      for (const answer of answers) expectProblem(answer, 503, 'gateway-exhausted');
      await expectUntouched(own, 'service');
      await own.stop();
    },
  );

  test.skipIf(!namespacesAvailable)(
    'while the first of two addresses accepts late and the second refuses (Linux only, as root)',
    async () => {
      const [first, second] = ['127.78.0.1', '127.78.0.2'];
      const late = await startLateService(first);
      const names = await startNameServer({ answers: { 'late.test': [first, second] } });
      const config = configTo({ late: `http://late.test:${late.port}` }, 10_000);
      const own = await startGateway(config, { through: names.through });
      const answers = statuses(own, '/late', threshold);
      await until(late.isAwaited, 'the gateway connects', 15_000);
      // The kernel tries again after a second.
      late.begin();
      expect(await answers).toEqual([200, 200, 200]);
      await expectUntouched(own, 'late');
      await own.stop();
    },
  );

  test.skipIf(!namespacesAvailable)(
    'while the name of another service cannot be looked up (Linux only, as root)',
    async () => {
      const { port } = await startUpstream();
      const names = await startNameServer({ answers: { 'healthy.test': ['127.0.0.1'] } });
      const config = configTo({
        hanging: `http://hanging.test:${port}`,
        healthy: `http://healthy.test:${port}`,
      });
      const own = await startGateway(config, { through: names.through });
      const hanging = statuses(own, '/hanging', callers);
      await until(() => names.queries('hanging.test') > 0, 'the name server is asked', 15_000);
      expect(await statuses(own, '/healthy', threshold)).toEqual([200, 200, 200]);
      await expectUntouched(own, 'healthy');
      expect(await hanging).toEqual(all(504));
      await own.stop('SIGKILL'); // getaddrinfo() would hold up the exit
    },
  );

  test.each([
    [501, 'picky-501'],
    [505, 'picky-505'],
  ])('when a service answers %i to requests that it does not know', async (status, name) => {
    for (let i = 0; i < 2 * threshold; i++) {
      const method = i % 2 ? 'PROPFIND' : 'UNLOCK';
      expect((await send(gateway, `/${name}/${status}`, { method })).status).toBe(status);
    }
    await expectUntouched(gateway, name);
  });
});

test('a circuit opens when a service resets every connection, reused and new', async () => {
  const keeper = keepers.broken as Keeper;
  expect(await statuses(gateway, '/broken', callers)).toEqual(all(200));
  keeper.endAll();
  let calls = 0;
  const isOpen = async () => {
    calls++;
    return (await send(gateway, '/broken')).text.includes('circuit-open');
  };
  await until(isOpen, 'the circuit opens');
  expect(calls).toBeLessThanOrEqual(callers + threshold + 1);
});
