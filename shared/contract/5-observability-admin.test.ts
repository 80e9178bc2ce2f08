import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../process/ports.ts';
import { type Admin, startObserved } from './harness/admin.ts';
import { connect, expectProblem, send, sendRaw, until } from './harness/client.ts';
import { configFor, type Gateway, startAndFail, startGateway } from './harness/gateway.ts';
import { startUpstream, type Upstream } from './harness/upstream.ts';

/** A limit for "at once": below the 10 s that a stop may take, far above what an exit needs on an idle machine. */
const atOnceMs = 8_000;

const services = { a: { url: 'http://127.0.0.1:9', timeoutMs: 1_000 } };
const routes = [{ prefix: '/a', service: 'a' }];
const properConfig = () => configFor({ services, routes }, 5);

describe.concurrent('a start is refused', () => {
  async function expectRefused(env: Record<string, string>, ...parts: string[]): Promise<void> {
    const { code, stdout, stderr } = await startAndFail(properConfig(), { env });
    expect(code).toBe(1);
    for (const part of parts) expect(stderr).toContain(part);
    expect(stderr).not.toMatch(/^\s+at |node:internal|ZodError/m);
    expect(stdout).not.toContain('listening');
  }

  test.each(['http', '70000'])('with the ADMIN_PORT %s, which is named', async (port) => {
    await expectRefused({ ADMIN_PORT: port }, 'ADMIN_PORT');
  });

  test('with a bad ADMIN_PORT and a bad PORT, which are both named', async () => {
    await expectRefused({ PORT: 'http', ADMIN_PORT: 'http' }, '\n  PORT', '\n  ADMIN_PORT');
  });

  test('when the admin port is in use, with host and port', async () => {
    const occupant = net.createServer().listen(0, '127.0.0.1');
    await once(occupant, 'listening');
    const { port } = occupant.address() as AddressInfo;
    await expectRefused({ ADMIN_PORT: String(port) }, `127.0.0.1:${port}`);
    occupant.close();
  });

  test('when the admin port is that of the gateway', async () => {
    const port = String(await freePort());
    await expectRefused({ PORT: port, ADMIN_PORT: port }, `127.0.0.1:${port}`);
  });

  test('when ADMIN_HOST is no address of this machine', async () => {
    const port = String(await freePort());
    await expectRefused({ ADMIN_HOST: '192.0.2.1', ADMIN_PORT: port }, `192.0.2.1:${port}`);
  });
});

describe('the environment', () => {
  test('without ADMIN_PORT means 9464', async () => {
    // When another process uses that port, the start fails with a message that names it.
    const outcome = await startGateway(properConfig(), { env: { ADMIN_PORT: '' } }).catch(
      (error: Error) => error,
    );
    if (outcome instanceof Error) {
      expect(outcome.message).toContain('127.0.0.1:9464');
    } else {
      const line = await outcome.waitForLog(({ msg }) => msg === 'admin listening');
      expect(line.url).toBe('http://127.0.0.1:9464');
      await outcome.stop();
    }
  });

  test('says by ADMIN_HOST and ADMIN_PORT where the admin listener is', async () => {
    const port = await freePort();
    const env = { ADMIN_HOST: 'localhost', ADMIN_PORT: String(port) };
    const gateway = await startGateway(properConfig(), { env });
    const line = await gateway.waitForLog(({ msg }) => msg === 'admin listening');
    expect(new URL(String(line.url)).port).toBe(String(port));
    expect((await send({ host: 'localhost', port }, '/health')).json()).toEqual({ status: 'ok' });
    await gateway.stop();
  });
});

describe('the admin listener', () => {
  let gateway: Gateway;
  let admin: Admin;
  let service: Upstream;

  beforeAll(async () => {
    service = await startUpstream();
    ({ gateway, admin } = await startObserved(
      configFor(
        {
          services: { a: { url: service.url, timeoutMs: 5_000 } },
          routes: [
            { prefix: '/a', service: 'a' },
            { prefix: '/circuits', service: 'a' },
          ],
          rateLimit: { whenRedisFails: 'reject' },
        },
        5,
      ),
    ));
  });

  test('has a line of its own in the log, beside that of the gateway', async () => {
    const lines = gateway.log().filter(({ msg }) => /listening$/.test(String(msg)));
    expect(lines.map(({ level, msg, url }) => ({ level, msg, url }))).toEqual([
      { level: 30, msg: 'listening', url: gateway.url },
      { level: 30, msg: 'admin listening', url: admin.url },
    ]);
    expect(admin.port).not.toBe(gateway.port);
  });

  test.each([
    ['/health', { status: 'ok' }],
    ['/ready', { ready: true, missing: [] }],
    ['/circuits', { a: { state: 'closed', failuresInARow: 0, closesInMs: 0 } }],
  ])('answers GET %s', async (path, body) => {
    expect(await admin.ask(path)).toEqual({ status: 200, body });
  });

  test.each(['/health', '/ready', '/circuits', '/metrics'])(
    'answers HEAD %s without a body',
    async (path) => {
      const [head, get] = await Promise.all([send(admin, path, { method: 'HEAD' }), send(admin, path)]);
      expect([head.status, head.text]).toEqual([200, '']);
      expect(head.headers['content-type']).toBe(get.headers['content-type']);
    },
  );

  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'])(
    'answers %s with 404, wherever',
    async (method) => {
      for (const path of ['/health', '/ready', '/circuits', '/metrics']) {
        const body = method.startsWith('P') ? 'x'.repeat(10_000) : undefined;
        expectNoRoute(await send(admin, path, { method, body }));
      }
    },
  );

  test.each([
    ['JSON that is none', 'application/json', '{'],
    ['a type nobody knows', 'application/x-unheard-of', 'x'],
  ])('looks at no body before it answers 404: %s', async (_what, type, body) => {
    for (const path of ['/metrics', '/nowhere']) {
      expectNoRoute(await send(admin, path, { method: 'POST', headers: { 'Content-Type': type }, body }));
    }
  });

  test.each(['/', '/a/1', '/nowhere', '/metrics/', '/metrics/x', '/METRICS', '/_faults', '//metrics'])(
    'answers GET %s with 404',
    async (path) => {
      const begun = service.begun();
      expectNoRoute(await send(admin, path));
      expect(service.begun()).toBe(begun);
    },
  );

  function expectNoRoute(answer: Awaited<ReturnType<typeof send>>): void {
    expect(answer.status).toBe(404);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json(;|$)/);
    expect(answer.json()).toMatchObject({ type: 'urn:gateway:problem:no-route', status: 404 });
  }

  test.each(['/metrics', '/ready', '/metrics?x=1', '//metrics', '/%6detrics', '/ready/'])(
    'is not reached through the port of the gateway: %s',
    async (path) => {
      const answer = await send(gateway, path, { headers: { host: `127.0.0.1:${admin.port}` } });
      expectProblem(answer, 404, 'no-route');
      expect(answer.text).not.toMatch(/gateway_|nodejs_|missing/);
    },
  );

  test('takes no path away from the routes', async () => {
    const answer = await send(gateway, '/circuits/1');
    expect([answer.status, answer.json().target]).toEqual([200, '/1']);
  });

  test('neither logs what it is asked nor breaks when that is no HTTP', async () => {
    await sendRaw(admin, 'nonsense\r\n\r\n');
    await sendRaw(admin, `GET /metrics HTTP/1.1\r\nHost: a\r\nX-Big: ${'a'.repeat(17_000)}\r\n\r\n`);
    await admin.ask('/health');
    await send(admin, '/asked-of-admin');
    await send(gateway, '/a/after-admin');
    await gateway.waitForLog(({ path }) => path === '/a/after-admin');
    const paths = gateway.log().flatMap(({ msg, path }) => (msg === 'request' ? [path] : []));
    expect(paths.filter((path) => !/^\/(a|circuits|metrics|ready|%6d|\/)/.test(String(path)))).toEqual([]);
    expect(gateway.stdout()).not.toContain('/asked-of-admin');
  });

  test('holds up no stop, though its connections are kept alive', async () => {
    const agent = new http.Agent({ keepAlive: true });
    await send(admin, '/metrics', { agent });
    const mute = await connect(admin);
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    expect(gateway.stderr()).toBe('');
    await until(() => mute.closed(), 'the connection is closed');
    agent.destroy();
  });
});

describe('a gateway that drains', () => {
  test('is not ready from the signal on, and serves requests until DRAIN_DELAY_MS is over', async () => {
    const service = await startUpstream();
    const { gateway, admin } = await startObserved(
      configFor({ services: { a: { url: service.url, timeoutMs: 30_000 } }, routes }, 5),
      { env: { DRAIN_DELAY_MS: '5000' } },
    );
    const stopped = gateway.stop();
    await gateway.waitForLog(({ msg }) => msg === 'stopping');
    expect(await admin.ask('/ready')).toEqual({
      status: 503,
      body: { ready: false, missing: ['draining'] },
    });
    expect((await send(gateway, '/a/1')).status).toBe(200);
    expect(await stopped).toMatchObject({ code: 0, signal: null });
  });

  test('is not ready from the signal on, and can be asked until the drain is over', async () => {
    let finish = () => {};
    const service = await startUpstream((_request, response) => {
      response.write('begun ');
      finish = () => void response.end('finished');
    });
    const { gateway, admin } = await startObserved(
      configFor({ services: { a: { url: service.url, timeoutMs: 30_000 } }, routes }, 5),
    );
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    expect((await send(admin, '/ready', { agent })).status).toBe(200);
    const client = await connect(gateway);
    client.socket.write('GET /a/1 HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.received().includes('begun'), 'the answer has begun');

    const stopped = gateway.stop();
    await gateway.waitForLog(({ msg }) => msg === 'stopping');
    for (let i = 0; i < 3; i++) {
      expect(await admin.ask('/ready')).toEqual({
        status: 503,
        body: { ready: false, missing: ['draining'] },
      });
    }
    expect((await admin.ask('/circuits')).status).toBe(200);
    const metrics = await admin.scrape();
    expect(metrics.find('gateway_requests_in_flight')).toEqual([{ labels: {}, value: 1 }]);

    finish();
    const { code, ms } = await stopped;
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    expect(client.received()).toContain('finished');
    await expect(send(admin, '/health')).rejects.toThrow();
    agent.destroy();
  });
});
