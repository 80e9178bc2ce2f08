import { once } from 'node:events';
import { existsSync } from 'node:fs';
import http, { type RequestListener } from 'node:http';
import net from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { answersIn, connect, send, sendRaw, settled, until } from './harness/client.ts';
import { configFor, type Gateway, startAndFail, startGateway } from './harness/gateway.ts';
import { deadUrl, startRawUpstream, startUpstream } from './harness/upstream.ts';

// Most of these tests start their own gateway process, several at the same time.
vi.setConfig({ testTimeout: 60_000 });

/** A limit for "at once": below the 10 s that a stop may take, far above what an exit needs on an idle machine. */
const atOnceMs = 8_000;

/** A config with one service behind /api. */
function configTo(url: string, timeoutMs = 60_000) {
  return configFor({
    services: { service: { url, timeoutMs } },
    routes: [{ prefix: '/api', service: 'service' }],
  });
}

async function isRefused(gateway: Gateway): Promise<boolean> {
  const socket = net.connect(gateway.port, gateway.host);
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

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

  test('GET /health answers 200 {"status":"ok"}, whatever the services do', async () => {
    const answer = await send(gateway, '/health');
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toMatch(/^application\/json(;|$)/);
    expect(answer.json()).toEqual({ status: 'ok' });
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

describe.concurrent('a signal to stop', () => {
  const get = 'GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n';

  async function start(handler?: RequestListener, env: Record<string, string> = {}) {
    const service = await startUpstream(handler);
    return { service, gateway: await startGateway(configTo(service.url), { env }) };
  }

  // The first two, because they take the longest. A delay of more than 10 s, because frameworks limit their hooks.
  test('is followed by DRAIN_DELAY_MS in which requests are served as before, and then by the drain', async () => {
    const delayMs = 11_000;
    let finish = () => {};
    const { gateway, service } = await start(
      (request, response) => {
        if (request.url === '/slow') finish = () => response.end('finished');
        else response.end('ok');
      },
      { DRAIN_DELAY_MS: String(delayMs) },
    );
    const slow = send(gateway, '/api/slow', { timeoutMs: 30_000 });
    const kept = await connect(gateway);
    kept.socket.write(get);
    await until(() => answersIn(kept.received()).length === 1, 'an answer on a connection that is kept');
    await until(() => service.begun() === 2, 'the slow request is in flight');

    const stopped = gateway.stop();
    const signalledAt = performance.now();
    await gateway.waitForLog((line) => line.msg === 'stopping');
    const elapsed = () => performance.now() - signalledAt;
    while (elapsed() < delayMs - 2_000) {
      expect((await send(gateway, '/api/x')).status).toBe(200);
      await sleep(100); // a request ten times a second
    }
    kept.socket.write(get);
    await until(() => answersIn(kept.received()).length === 2, 'another answer on the kept connection');
    await until(() => isRefused(gateway), 'new connections are refused');
    expect(elapsed()).toBeGreaterThan(delayMs - 50);
    finish();
    expect((await slow).text).toBe('finished');
    expect(await stopped).toMatchObject({ code: 0, signal: null });
  });

  test('waits 10 s at most for a request that never ends', async () => {
    const { gateway, service } = await start(() => {});
    const client = await connect(gateway);
    client.socket.write(get);
    await until(() => service.begun() === 1, 'the request is in flight');
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeGreaterThan(8_000);
    expect(ms).toBeLessThan(12_000);
    await until(() => client.closed(), 'the connection is closed');
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('%s ends an idle gateway at once with code 0', async (signal) => {
    const { gateway } = await start();
    const kept = await connect(gateway);
    kept.socket.write(get);
    await until(
      () => answersIn(kept.received()).length === 1,
      'an answer on a connection that is kept alive',
    );
    const { code, ms } = await gateway.stop(signal);
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    await until(() => kept.closed(), 'the connection is closed');
    expect(gateway.log().some((line) => line.msg === 'stopping')).toBe(true);
    expect(gateway.stderr()).toBe('');
  });

  // Browsers open such connections in advance. closeIdleConnections() of Node skips them.
  test('does not wait for connections that never say a word', async () => {
    const { gateway } = await start();
    const mute = await connect(gateway);
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    await until(() => mute.closed(), 'the connection is closed');
  });

  // Node does not count such a connection as idle: it waits for the rest of the header fields.
  test('does not wait for the rest of a request header, on new and on kept connections', async () => {
    const { gateway } = await start();
    const half = 'GET /api/x HTTP/1.1\r\nHo';
    const fresh = await connect(gateway);
    fresh.socket.write(half);
    const kept = await connect(gateway);
    kept.socket.write(get);
    await until(() => answersIn(kept.received()).length === 1, 'an answer on a connection that is kept');
    kept.socket.write(half);
    expect((await send(gateway, '/health')).status).toBe(200); // by now the gateway has read both halves
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    await until(() => fresh.closed() && kept.closed(), 'both connections are closed');
  });

  // More answers than the connection buffers. Each is so small that the gateway has its end before the client has read it.
  test('sends every answer that has begun to its last byte, however late the client reads it', async () => {
    const { gateway, service } = await start((_, response) => void response.end('a'.repeat(12_000)));
    const client = await connect(gateway);
    client.socket.pause();
    client.socket.write(get.repeat(1_000));
    await until(() => service.begun() > 0, 'the service is called');
    await settled(service.begun);
    const mute = await connect(gateway);
    const stopped = gateway.stop();
    await until(() => mute.closed(), 'a connection without a request is closed, after half a second');
    await sleep(100); // two checks of the gateway
    client.socket.resume();
    expect((await stopped).code).toBe(0);
    await until(() => client.closed(), 'the connection is closed');
    const lengths = answersIn(client.received()).map(({ body }) => body.length);
    expect(lengths).toEqual(Array(service.begun()).fill(12_000));
    expect(client.received().endsWith('a')).toBe(true);
  });

  test('ends the process at once when it comes a second time, even during DRAIN_DELAY_MS', async () => {
    const { gateway } = await start(undefined, { DRAIN_DELAY_MS: '300000' });
    const first = gateway.stop();
    await gateway.waitForLog((line) => line.msg === 'stopping');
    const { signal, ms } = await gateway.stop();
    expect(signal).toBe('SIGTERM');
    expect(ms).toBeLessThan(atOnceMs);
    await first;
  });

  // After SIGCONT the stopped gateway finds the connection, the bytes on it and SIGTERM at the same moment. Which of
  // its threads handles the signal varies, so three gateways are tested.
  test.skipIf(process.platform === 'win32')(
    'answers a request that was sent before the signal, though nobody had read it',
    async () => {
      const stopUnread = async () => {
        const { gateway } = await start();
        process.kill(gateway.pid, 'SIGSTOP');
        const client = await connect(gateway);
        client.socket.write(get);
        const stopped = gateway.stop();
        process.kill(gateway.pid, 'SIGCONT');
        expect((await stopped).code).toBe(0);
        await until(() => client.closed(), 'the connection is closed');
        // A gateway that reads the request before it handles the signal may still say keep-alive.
        expect(answersIn(client.received()).map(({ status }) => status)).toEqual([200]);
      };
      await Promise.all([stopUnread(), stopUnread(), stopUnread()]);
    },
  );

  test('lets a request in flight finish, says Connection: close, accepts no new one, and then exits', async () => {
    let finish = () => {};
    const { gateway, service } = await start((_, response) => {
      finish = () => response.end('finished');
    });
    const client = await connect(gateway);
    client.socket.write(get);
    await until(() => service.begun() === 1, 'the request is in flight');
    const stopped = gateway.stop();
    await until(() => isRefused(gateway), 'new connections are refused');
    finish();
    const { code } = await stopped;
    await until(() => client.closed(), 'the connection is closed');
    const answers = answersIn(client.received());
    expect(answers.map((answer) => [answer.status, answer.text])).toEqual([[200, 'finished']]);
    expect(answers[0]?.headers.connection).toBe('close');
    expect(code).toBe(0);
    await gateway.waitForLog((line) => line.msg === 'request' && line.status === 200);
  });

  // On Windows SIGHUP cannot be sent to another process.
  test.skipIf(process.platform === 'win32')('may be SIGHUP: what is in flight is answered', async () => {
    let finish = () => {};
    const { gateway, service } = await start((_, response) => {
      finish = () => response.end('finished');
    });
    const client = await connect(gateway);
    client.socket.write(get);
    await until(() => service.begun() === 1, 'the request is in flight');
    const stopped = gateway.stop('SIGHUP');
    await until(() => isRefused(gateway), 'new connections are refused');
    finish();
    expect(await stopped).toMatchObject({ code: 0, signal: null });
    expect(answersIn(client.received()).map(({ status, text }) => [status, text])).toEqual([
      [200, 'finished'],
    ]);
    expect(gateway.log().filter((line) => line.msg === 'stopping')).toMatchObject([{ signal: 'SIGHUP' }]);
  });

  test('lets answers and uploads that have begun finish, and then exits, though connections are kept alive', async () => {
    let finish = () => {};
    const { gateway, service } = await start((request, response) => {
      if (request.method === 'POST') {
        request.on('end', () => response.end('received'));
      } else {
        response.write('begun ');
        finish = () => response.end('finished');
      }
    });
    const reader = await connect(gateway);
    reader.socket.write(get);
    await until(() => reader.received().includes('begun'), 'the answer has begun');
    const body = new Readable({ read() {} });
    const agent = new http.Agent({ keepAlive: true });
    const upload = send(gateway, '/api/x', { method: 'POST', body, agent });
    body.push('first ');
    await until(() => service.begun() === 2, 'the upload has begun');

    const stopped = gateway.stop();
    await gateway.waitForLog((line) => line.msg === 'stopping');
    body.push('second');
    body.push(null);
    expect((await upload).text).toBe('received');
    expect(service.seen.find((seen) => seen.method === 'POST')?.body.toString()).toBe('first second');
    finish();
    const finishedAt = performance.now();
    expect((await stopped).code).toBe(0);
    expect(performance.now() - finishedAt).toBeLessThan(atOnceMs);
    expect(answersIn(reader.received()).map((answer) => answer.text)).toEqual(['begun finished']);
    agent.destroy();
  });

  test('also answers a request that a kept connection sends while another one drains, or closes it', async () => {
    let finish = () => {};
    const { gateway, service } = await start((request, response) => {
      if (request.url === '/slow') finish = () => response.end('finished');
      else response.end('ok');
    });
    const agent = new http.Agent({ keepAlive: true });
    await send(gateway, '/api/x', { agent });
    const slow = send(gateway, '/api/slow');
    await until(() => service.begun() === 2, 'the slow request is in flight');
    const stopped = gateway.stop();
    await gateway.waitForLog((line) => line.msg === 'stopping');
    const late = await send(gateway, '/api/x', { agent }).catch(() => undefined);
    if (late) expect([late.status, late.headers.connection]).toEqual([200, 'close']);
    finish();
    expect((await slow).text).toBe('finished');
    expect((await stopped).code).toBe(0);
    agent.destroy();
  });
});
