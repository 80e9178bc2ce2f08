import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, type TestContext, test } from 'vitest';
import { send, until } from './harness/client.ts';
import { makeFastClock } from './harness/fast-clock.ts';
import { configFor, type Gateway, startGateway } from './harness/gateway.ts';
import { namespacesAvailable, startNameServer } from './harness/name-server.ts';
import { startUpstream } from './harness/upstream.ts';

// In these gateways a minute takes 3 s.
const factor = 20;
/** The longest life of a connection, and what a busy machine may add. */
const minuteMs = 60_000 / factor;
const latenessMs = 1_000;

async function start(url: string, { skip }: TestContext, through?: string[]): Promise<Gateway> {
  const clock = makeFastClock(factor);
  const config = configFor({
    services: { service: { url, timeoutMs: 60_000 } },
    routes: [{ prefix: '/api', service: 'service' }],
  });
  const gateway = await startGateway(config, { env: clock.env, through });
  if (!clock.runsIn(gateway)) skip('This gateway does not run in Node, so its clock cannot be made faster.');
  return gateway;
}

/** A function that returns true from `ms` after now. */
function isPast(ms: number): () => boolean {
  const end = performance.now() + ms;
  return () => performance.now() > end;
}

/** Sends requests on `width` connections, one after the other on each, until `end` is true. All must be answered. */
async function load(gateway: Gateway, width: number, end: () => boolean): Promise<void> {
  const client = async () => {
    while (!end()) expect((await send(gateway, '/api/load')).status).toBe(200);
  };
  await Promise.all(Array.from({ length: width }, client));
}

describe.concurrent('a connection to a service', { timeout: 90_000 }, () => {
  test('gets no new request when it is a minute old, and is not cut while it is busy', async (context) => {
    const opened = new Map<Socket, number>();
    const ages: number[] = [];
    const service = await startUpstream((request, response) => {
      const { socket } = request;
      if (!opened.has(socket)) opened.set(socket, performance.now());
      ages.push(performance.now() - (opened.get(socket) as number));
      setTimeout(() => response.end('ok'), 5);
    });
    const gateway = await start(service.url, context);
    const isOver = isPast(3 * minuteMs);
    await load(gateway, 4, () => service.connections() >= 12 || isOver());
    expect(Math.max(...ages)).toBeLessThan(minuteMs + latenessMs);
    await gateway.stop();
  });

  test('that was opened together with others is not renewed in the same instant', async (context) => {
    const width = 40;
    const last = new Map<Socket, number>();
    const service = await startUpstream((request, response) => {
      last.set(request.socket, performance.now());
      setTimeout(() => response.end('ok'), 100);
    });
    const gateway = await start(service.url, context);
    const first = () => [...last].slice(0, width);
    const isOver = isPast(2 * minuteMs + latenessMs);
    const renewed = () => first().filter(([socket]) => socket.destroyed);
    await load(gateway, width, () => renewed().length === width || isOver());
    expect(renewed()).toHaveLength(width);
    const ends = first().map(([, time]) => time);
    expect(Math.max(...ends) - Math.min(...ends)).toBeGreaterThan(250); // 5 s on the clock of the gateway
    await gateway.stop();
  });

  test('stays open for a response that takes longer than a minute', async (context) => {
    let stream: ServerResponse | undefined;
    const service = await startUpstream((request, response) => {
      if (request.url !== '/stream') return void response.end('ok');
      response.write('begin ');
      stream = response;
    });
    const gateway = await start(service.url, context);
    const answer = send(gateway, '/api/stream', { timeoutMs: 60_000 });
    await until(() => stream !== undefined, 'the stream has begun');
    await load(gateway, 2, isPast(2 * minuteMs));
    stream?.end('end');
    expect((await answer).text).toBe('begin end');
    await gateway.stop();
  });

  // Needs a name server of its own.
  test.skipIf(!namespacesAvailable)(
    'follows a name that leads elsewhere within a minute (Linux only, as root)',
    async (context) => {
      const [oldHost, newHost] = ['127.77.1.1', '127.77.1.2'] as const;
      const before = await startUpstream(undefined, { host: oldHost });
      const after = await startUpstream(undefined, { host: newHost, port: before.port });
      const answers = { 'moving.test': [oldHost as string] };
      const names = await startNameServer({ answers });
      const gateway = await start(`http://moving.test:${before.port}`, context, names.through);
      expect((await send(gateway, '/api/1')).status).toBe(200);
      answers['moving.test'] = [newHost];
      const isLate = isPast(minuteMs + latenessMs);
      await load(gateway, 1, () => after.begun() > 0 || isLate());
      expect(after.begun()).toBeGreaterThan(0);
      await gateway.stop();
    },
  );
});
