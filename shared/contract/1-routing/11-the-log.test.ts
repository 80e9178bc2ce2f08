// Each request is one line of JSON on stdout: what was asked, its route and service, the status, the
// duration, the address of the peer, and which stage refused it. No query gets into the log, and no path can
// forge a line. A reader that is slow, or a disk that is full, costs no request and no stop.

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { answersIn, send, sendRaw, until } from '../harness/client.ts';
import { configFor, type Gateway, startAndFail, startGateway } from '../harness/gateway.ts';
import { canPause, pause } from '../harness/local-causes.ts';
import { deadUrl, startRawUpstream, startUpstream, type Upstream } from '../harness/upstream.ts';
import { configTo } from './own-gateway.ts';
import { atOnceMs } from './requests.ts';

// Most of these tests start their own gateway process, several at the same time.
vi.setConfig({ testTimeout: 60_000 });

describe('health and log', () => {
  let gateway: Gateway;

  beforeAll(async () => {
    const service = await startUpstream();
    const broken = await startRawUpstream((socket) => socket.destroy());
    gateway = await startGateway(
      configFor({
        services: {
          service: { url: service.url, timeoutMs: 5_000 },
          broken: { url: broken.url, timeoutMs: 5_000 },
          dead: { url: await deadUrl(), timeoutMs: 5_000 },
        },
        routes: [
          { prefix: '/api', service: 'service' },
          { prefix: '/broken', service: 'broken' },
          { prefix: '/dead', service: 'dead' },
        ],
      }),
    );
  });

  test('the log says first where the gateway listens', () => {
    expect(gateway.log().find((line) => line.msg === 'listening')).toMatchObject({
      level: 30,
      url: gateway.url,
    });
  });

  test('a request makes one line with method, path, route, service, status and duration', async () => {
    await send(gateway, '/api/things/1', { method: 'POST', body: 'x' });
    const line = await gateway.waitForLog((entry) => entry.path === '/api/things/1');
    expect(line).toMatchObject({
      level: 30,
      time: expect.any(Number),
      msg: 'request',
      method: 'POST',
      path: '/api/things/1',
      route: '/api',
      service: 'service',
      status: 200,
      durationMs: expect.any(Number),
    });
    expect(line.durationMs).toBeGreaterThan(0);
    expect(line).not.toHaveProperty('refusedBy');
    await send(gateway, '/api/things/2');
    await gateway.waitForLog((entry) => entry.path === '/api/things/2');
    expect(gateway.log().filter((entry) => entry.path === '/api/things/1')).toHaveLength(1);
  });

  test.each([
    ['/nowhere/1', { status: 404, refusedBy: 'route', route: null, service: null }],
    ['/api/1/%2e%2e/x', { status: 400, refusedBy: 'parse' }],
    ['/api/1/%zz', { status: 400, refusedBy: 'parse' }],
    ['/dead/1', { status: 502, refusedBy: 'forward', route: '/dead', service: 'dead' }],
    ['/broken/1', { status: 502, refusedBy: 'forward', route: '/broken', service: 'broken' }],
  ])('a refusal names its stage: %s', async (target, expected) => {
    const { status } = await send(gateway, target);
    expect(status).toBe(expected.status);
    const line = await gateway.waitForLog((entry) => entry.path === target);
    expect(line).toMatchObject({ msg: 'request', method: 'GET', ...expected });
  });

  test('the query stays out of the log, in every fate of a request', async () => {
    const query = '?token=s3cret-value';
    for (const path of [
      '/api/q',
      '/nowhere/q',
      '/api/../q',
      '/api/q/%zz',
      '/dead/q',
      '/broken/q',
      '/health',
    ]) {
      await send(gateway, path + query);
    }
    await send(gateway, `/api/q${query}#s3cret`);
    await sendRaw(gateway, `GET /api/q${query} HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n`);
    await sendRaw(gateway, `FETCH /api/q${query} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await send(gateway, '/api/last');
    await gateway.waitForLog((entry) => entry.path === '/api/last');
    expect(gateway.log().some((entry) => entry.path === '/broken/q')).toBe(true);
    expect(gateway.stdout() + gateway.stderr()).not.toContain('s3cret');
  });

  test('a path cannot forge a log line', async () => {
    await send(gateway, '/nowhere/"},{"msg":"forged"%0a{"msg":"forged"}');
    await gateway.waitForLog((entry) => String(entry.path).startsWith('/nowhere/"'));
    expect(gateway.log().filter((entry) => entry.msg === 'forged')).toEqual([]);
  });

  test('/health is not logged', async () => {
    await send(gateway, '/health');
    await send(gateway, '/api/after-health');
    await gateway.waitForLog((entry) => entry.path === '/api/after-health');
    expect(gateway.stdout()).not.toContain('"/health"');
  });

  const unparsed: Array<[what: string, status: number, bytes: string]> = [
    ['an unknown method', 400, 'FETCH /api/unparsed?s3cret HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['bytes that are not HTTP', 400, 'nonsense\r\n\r\n'],
    [
      'a length that is no number',
      400,
      'POST /api/unparsed HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n',
    ],
    ['two lengths', 400, 'POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx'],
    [
      'a length and chunks',
      400,
      'POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['headers over 16 KiB', 431, `GET /api HTTP/1.1\r\nHost: a\r\nX-Big: ${'a'.repeat(17_000)}\r\n\r\n`],
  ];
  test.each(unparsed)('has a line for what the parser refuses: %s', async (_what, status, bytes) => {
    const lines = () => gateway.log().filter(({ refusedBy, path }) => refusedBy === 'parse' && path === null);
    const before = lines().length;
    expect(answersIn((await sendRaw(gateway, bytes)).text).map((answer) => answer.status)).toEqual([status]);
    await until(() => lines().length > before, 'the line is in the log');
    await send(gateway, '/api/after-unparsed');
    await until(
      () => gateway.log().at(-1)?.path === '/api/after-unparsed',
      'the next request is the last line of the log',
    );
    const [line, ...more] = lines().slice(before);
    expect(more).toEqual([]);
    expect(line).toMatchObject({
      level: 30,
      time: expect.any(Number),
      msg: 'request',
      method: null,
      path: null,
      route: null,
      service: null,
      status,
      durationMs: expect.any(Number),
      refusedBy: 'parse',
    });
  });

  test('the target of what is not even a request is not logged', async () => {
    await sendRaw(gateway, 'FETCH /api/unparsed HTTP/1.1\r\nHost: a\r\n\r\n');
    await send(gateway, '/api/after-unparsed');
    await gateway.waitForLog((entry) => entry.path === '/api/after-unparsed');
    expect(gateway.stdout()).not.toContain('/unparsed');
  });

  test('all of stdout is JSON, and stderr is empty', () => {
    expect(gateway.log().filter((line) => 'raw' in line)).toEqual([]);
    expect(gateway.stderr()).toBe('');
  });
});

describe('the address in the log line of a request', () => {
  const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
    list?.some(({ address }) => address === '::1'),
  );

  let service: Upstream;
  let gateway: Gateway;

  beforeAll(async () => {
    service = await startUpstream((request, response) => {
      if (!request.url?.startsWith('/hangs')) response.end('ok');
    });
    gateway = await start(hasIpv6 ? { HOST: '::' } : {});
  });

  afterAll(() => gateway?.stop());

  function start(env: Record<string, string> = {}): Promise<Gateway> {
    const config = configFor({
      services: { service: { url: service.url, timeoutMs: 20_000 } },
      routes: [{ prefix: '/api', service: 'service' }],
    });
    return startGateway(config, { env });
  }

  /** Sends these bytes to the gateway from this address, and ends the connection when `enough` is true. */
  async function sendFrom(
    host: string,
    bytes: string,
    enough = (text: string) => answersIn(text).length > 0,
  ) {
    let text = '';
    // The loopback addresses of IPv4 are all there on Linux only.
    const localAddress = host === '127.0.0.9' && process.platform !== 'linux' ? '127.0.0.1' : host;
    const socket = net.connect({
      host: host === '::1' ? host : '127.0.0.1',
      port: gateway.port,
      localAddress,
    });
    await once(socket, 'connect');
    socket.on('error', () => {}).setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.write(bytes);
    await until(() => enough(text), 'the gateway has answered');
    socket.destroy();
    return localAddress;
  }

  const get = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

  test.each([
    ['that is answered', '/api/address-1', ''],
    ['without a route', '/nowhere/address-2', ''],
    ['that is malformed', '/api/../address-3', ''],
    [
      'that claims another one',
      '/api/address-4',
      'X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n',
    ],
  ])('%s is that of the peer, IPv4 as a whole', async (_, path, fields) => {
    const address = await sendFrom('127.0.0.9', get(path, fields));
    expect(await gateway.waitForLog((line) => line.path === path)).toMatchObject({ address });
  });

  test('whose client has left is that of the peer', async () => {
    const before = service.begun();
    const address = await sendFrom('127.0.0.9', get('/api/hangs/address'), () => service.begun() > before);
    const line = await gateway.waitForLog(({ path }) => path === '/api/hangs/address');
    expect(line).toMatchObject({ status: 499, address });
  });

  test('that the parser refuses is that of the peer', async () => {
    const lines = () => gateway.log().filter(({ path }) => path === null);
    const before = lines().length;
    const address = await sendFrom('127.0.0.9', 'nonsense\r\n\r\n');
    await until(() => lines().length > before, 'the line is in the log');
    expect(lines().at(-1)).toMatchObject({ refusedBy: 'parse', address });
  });

  // Needs IPv6.
  test.skipIf(!hasIpv6)('from IPv6 has the first 64 bits only', async () => {
    await sendFrom('::1', get('/api/address-6'));
    const line = await gateway.waitForLog(({ path }) => path === '/api/address-6');
    expect(line.address).toBe('0:0:0:0::/64');
  });

  // The system forgets the address of the peer when a reset arrives, before the gateway has read the request.
  test.skipIf(!canPause)(
    'whose connection was reset before it was read may be unknown: that is no error',
    async () => {
      const reset = await start();
      await pause(reset);
      const socket = net.connect(reset.port, reset.host).on('error', () => {});
      await once(socket, 'connect');
      await new Promise((resolve) => socket.write(get('/api/reset'), resolve));
      socket.resetAndDestroy();
      await once(socket, 'close');
      process.kill(reset.pid, 'SIGCONT');
      expect((await send(reset, '/api/after')).status).toBe(200);
      await reset.waitForLog(({ path }) => path === '/api/after');
      expect(reset.log().filter(({ level }) => (level as number) > 40)).toEqual([]);
      for (const line of reset.log().filter(({ path }) => path === '/api/reset')) {
        expect(['unknown', '127.0.0.1']).toContain(line.address);
      }
      await reset.stop();
    },
  );
});

describe.concurrent('a log that is not read', () => {
  const line = 'x'.repeat(15_000);
  const toFullDisk = ['sh', '-c', 'exec "$@" > /dev/full', 'sh'];

  async function start(through?: string[]) {
    const service = await startUpstream();
    return startGateway(configTo(service.url), { through });
  }

  /** Produces lines of 15 kB. 100 are more than any pipe buffers. */
  async function fill(gateway: Gateway, lines = 500) {
    for (let i = 0; i < lines; i += 10) {
      const answers = await Promise.all(Array.from({ length: 10 }, () => send(gateway, `/api/${line}`)));
      expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    }
  }

  test('arrives as a whole, when its reader is only slow', async () => {
    const gateway = await start();
    gateway.readSlowly(Infinity);
    await fill(gateway, 100);
    const stopped = gateway.stop();
    gateway.readSlowly(30);
    const { code, ms } = await stopped;
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    const messages = gateway.log().map(({ msg }) => msg);
    expect(messages.filter((msg) => msg === 'request')).toHaveLength(100);
    expect(messages.at(-1)).toBe('stopping');
  });

  test('holds up the stop for 3 s at most, when its reader is too slow', async () => {
    const gateway = await start();
    gateway.readSlowly(Infinity);
    await fill(gateway);
    const stopped = gateway.stop();
    gateway.readSlowly(80); // all of it would take about 9 s
    const { code, ms } = await stopped;
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
  });

  test('costs no request and no stop, when its reader is stuck', async () => {
    const gateway = await start();
    gateway.readSlowly(Infinity);
    await fill(gateway);
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
  });

  test.skipIf(!existsSync('/dev/full'))('costs no request and no stop, when its disk is full', async () => {
    const gateway = await start(toFullDisk);
    for (let i = 0; i < 3; i++) expect((await send(gateway, '/api/x')).status).toBe(200);
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
  });

  test.skipIf(!existsSync('/dev/full'))(
    'costs no start its end, when it fails and the disk is full',
    async () => {
      const config = configTo('ftp://127.0.0.1/');
      expect(await startAndFail(config, { through: toFullDisk })).toMatchObject({ code: 1 });
      const taken = await startUpstream();
      const env = { PORT: String(taken.port) };
      expect(await startAndFail(configTo(taken.url), { env, through: toFullDisk })).toMatchObject({
        code: 1,
      });
    },
  );
});
