import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Certificate, trusted, unvouched } from './harness/certificates.ts';
import {
  answersIn,
  type Connection,
  connect,
  expectProblem,
  send,
  sendRaw,
  until,
  writeThenRead,
} from './harness/client.ts';
import { configFor, type Gateway, startGateway } from './harness/gateway.ts';
import { deadUrl, startRawUpstream, startUpstream, type Upstream } from './harness/upstream.ts';

const mebibyte = 1024 * 1024;
/** A limit for "at once": far below the 10 s of most services, far above what a busy machine needs. */
const atOnceMs = 3_000;

let gateway: Gateway;
let service: Upstream;
let raw: Upstream;
let silent: Silent;
let secure: Secure;
let dubious: Secure;
/** Contains the file of the certificate that the gateway trusts. */
const folder = mkdtempSync(join(tmpdir(), 'gateway-contract-tls-'));
/** The handler of the service in the current test. */
let handle: RequestListener;
/** The handler of the raw service in the current test. */
let react: (socket: Socket) => void;

beforeAll(async () => {
  service = await startUpstream((request, response) => handle(request, response));
  raw = await startRawUpstream((socket) => react(socket));
  silent = await startSilent();
  secure = await startSecure(trusted);
  dubious = await startSecure(unvouched);
  const authorities = join(folder, 'authorities.pem');
  writeFileSync(authorities, trusted.cert);
  gateway = await startGateway(
    configFor({
      services: {
        service: { url: service.url, timeoutMs: 10_000 },
        hasty: { url: service.url, timeoutMs: 300 },
        patient: { url: service.url, timeoutMs: 800 },
        leisurely: { url: service.url, timeoutMs: 2_000 },
        raw: { url: raw.url, timeoutMs: 10_000 },
        dead: { url: await deadUrl(), timeoutMs: 10_000 },
        nowhere: { url: 'http://does-not-exist.invalid', timeoutMs: 10_000 },
        silent: { url: silent.url, timeoutMs: 300 },
        secure: { url: secure.url, timeoutMs: 10_000 },
        dubious: { url: dubious.url, timeoutMs: 10_000 },
      },
      routes: [
        { prefix: '/api', service: 'service' },
        { prefix: '/hasty', service: 'hasty' },
        { prefix: '/patient', service: 'patient' },
        { prefix: '/leisurely', service: 'leisurely' },
        { prefix: '/raw', service: 'raw' },
        { prefix: '/dead', service: 'dead' },
        { prefix: '/nowhere', service: 'nowhere' },
        { prefix: '/silent', service: 'silent' },
        { prefix: '/secure', service: 'secure' },
        { prefix: '/dubious', service: 'dubious' },
      ],
    }),
    { env: { NODE_EXTRA_CA_CERTS: authorities } },
  );
});

afterAll(async () => {
  await Promise.all([silent.close(), secure.close(), dubious.close()]);
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  service.seen.length = 0;
  handle = (request, response) => void request.on('end', () => response.end('ok'));
});

/** A port on which no connection completes: its process is blocked and its backlog is full. Linux only. */
interface Silent {
  url: string;
  close(): Promise<void>;
}

async function startSilent(): Promise<Silent> {
  const script = `
    const server = require('node:net').createServer();
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      require('node:fs').writeSync(1, String(server.address().port));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const child: ChildProcess = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output] = (await once(child.stdout as Readable, 'data')) as [Buffer];
  const port = Number(output);
  // These fill the backlog; whether they connect does not matter.
  const fillers = Array.from({ length: 4 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
  await once(fillers[0] as Socket, 'connect');
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      for (const filler of fillers) filler.destroy();
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** A service behind TLS. */
interface Secure {
  url: string;
  requests(): number;
  close(): Promise<void>;
}

async function startSecure(certificate: Certificate): Promise<Secure> {
  let requests = 0;
  const server = https.createServer(certificate, (_, response) => {
    requests++;
    response.end('secret');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function alive(): Promise<void> {
  expect((await send(gateway, '/health')).status).toBe(200);
}

/** A body of `parts` parts, with a pause after each. */
function slowly(parts: number, pauseMs: number, part = 'part '): Readable {
  return Readable.from(
    (async function* () {
      for (let i = 0; i < parts; i++) {
        yield part;
        await sleep(pauseMs);
      }
    })(),
  );
}

/** Asserts that a client that has sent its request can send the next, unless Connection: close was announced. */
async function expectInOrder(client: Connection, status: number): Promise<void> {
  const [answer] = answersIn(client.received());
  if (answer?.headers.connection === 'close') await expectEnd(client, status);
  else await expectNext(client, status);
}

/** Asserts that this was the only answer, that it has announced the end of the connection, and that the end comes. */
async function expectEnd(client: Connection, status: number): Promise<void> {
  await until(() => client.closed(), 'the connection is closed');
  const answers = answersIn(client.received());
  expect(answers.map(({ status, headers }) => [status, headers.connection])).toEqual([[status, 'close']]);
}

/** Asserts that this was the only answer, and that the next request on the connection is answered. */
async function expectNext(client: Connection, status: number): Promise<void> {
  handle = (request, response) => void request.on('end', () => response.end('ok'));
  client.socket.write('GET /api/next HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(
    () => answersIn(client.received()).length > 1,
    'the next request on this connection is answered',
  );
  client.socket.destroy();
  const answers = answersIn(client.received());
  expect(answers.map(({ status, headers }) => [status, headers.connection === 'close'])).toEqual([
    [status, false],
    [200, false],
  ]);
}

describe('a service that cannot be reached', () => {
  test('because nothing listens makes 502', async () => {
    expectProblem(await send(gateway, '/dead/x'), 502, 'upstream-unreachable');
  });

  test('because its name is unknown makes 502', async () => {
    expectProblem(await send(gateway, '/nowhere/x'), 502, 'upstream-unreachable');
  });

  test.runIf(process.platform === 'linux')('because connecting takes too long makes 504', async () => {
    const begin = performance.now();
    expectProblem(await send(gateway, '/silent/x'), 504, 'upstream-timeout');
    expect(performance.now() - begin).toBeLessThan(5_000);
  });

  test('makes 502 for a POST with a body, and the connection serves the next request', async () => {
    const body = 'a'.repeat(100_000);
    const { text } = await sendRaw(
      gateway,
      `POST /dead/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}` +
        'GET /api/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    const [refusal, next] = answersIn(text);
    expect(refusal?.status).toBe(502);
    if (refusal?.headers.connection !== 'close') expect(next?.status).toBe(200);
  });

  test.runIf(process.platform === 'linux')(
    'within its time makes 504 for an upload, too, and then the connection is closed',
    async () => {
      const client = await connect(gateway);
      client.socket.write(`POST /silent/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${mebibyte}\r\n\r\n`);
      client.socket.write(Buffer.alloc(mebibyte));
      await until(() => answersIn(client.received()).length === 1, 'an answer');
      await expectEnd(client, 504);
    },
  );

  test('makes 502 for every one of 100 requests at once, and the process survives', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        send(gateway, '/dead/x', { method: i % 2 ? 'POST' : 'GET', body: 'x' }),
      ),
    );
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([502]));
    await alive();
  });
});

describe('a service behind TLS', () => {
  test('is asked when its certificate is trusted', async () => {
    const answer = await send(gateway, '/secure/x');
    expect([answer.status, answer.text]).toEqual([200, 'secret']);
  });

  test('is not asked when nobody vouches for its certificate: 502', async () => {
    expectProblem(await send(gateway, '/dubious/x'), 502, 'upstream-unreachable');
    expect(dubious.requests()).toBe(0);
  });
});

describe('a service that answers badly', () => {
  const answering = (text: string) => (socket: Socket) => void socket.write(Buffer.from(text, 'latin1'));
  const ok = (lines: string) => answering(`HTTP/1.1 200 OK\r\n${lines}\r\n\r\n`);

  const cases: Array<[what: string, name: string, reaction: (socket: Socket) => void]> = [
    ['closing without an answer', 'upstream-reset', (socket) => socket.end()],
    ['a reset', 'upstream-reset', (socket) => socket.resetAndDestroy()],
    ['half a status line and the end', 'upstream-reset', (socket) => socket.end('HTTP/1.1 20')],
    [
      'half its headers and the end',
      'upstream-reset',
      (socket) => socket.end('HTTP/1.1 200 OK\r\nX-A: b\r\n'),
    ],
    [
      'half its headers and a reset',
      'upstream-reset',
      (socket) => socket.write('HTTP/1.1 200 OK\r\nX-A: b\r\n', () => socket.resetAndDestroy()),
    ],
    [
      'an interim answer and the end',
      'upstream-reset',
      (socket) => socket.end('HTTP/1.1 103 Early Hints\r\n\r\n'),
    ],
    ['another protocol', 'upstream-invalid', answering('SSH-2.0-OpenSSH_9.6\r\n')],
    ['binary garbage', 'upstream-invalid', answering('\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n')],
    ['a page without headers', 'upstream-invalid', answering('<html>hello</html>\r\n\r\n')],
    ['headers over 16 KiB', 'upstream-invalid', ok(`X-Big: ${'a'.repeat(17_000)}\r\nContent-Length: 0`)],
    [
      'many headers over 16 KiB',
      'upstream-invalid',
      ok(
        `${Array.from({ length: 400 }, (_, i) => `X-${i}: ${'a'.repeat(50)}`).join('\r\n')}\r\nContent-Length: 0`,
      ),
    ],
    ['endless headers', 'upstream-invalid', ok('X-Endless: a\r\n'.repeat(5_000))],
    ['a header line that is none', 'upstream-invalid', ok('nonsense\r\nContent-Length: 0')],
    ['a control character in a header', 'upstream-invalid', ok('X-Bad: a\x01b\r\nContent-Length: 0')],
    ['compression below the chunks', 'upstream-invalid', ok('Transfer-Encoding: gzip, chunked')],
    ['two different lengths', 'upstream-invalid', ok('Content-Length: 1\r\nContent-Length: 2')],
    ['a length that is none', 'upstream-invalid', ok('Content-Length: many')],
    ['status 600', 'upstream-invalid', answering('HTTP/1.1 600 Beyond\r\nContent-Length: 0\r\n\r\n')],
    ['status 999', 'upstream-invalid', answering('HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n')],
    ['status 099', 'upstream-invalid', answering('HTTP/1.1 099 Below\r\nContent-Length: 0\r\n\r\n')],
    ['status 20', 'upstream-invalid', answering('HTTP/1.1 20 Short\r\nContent-Length: 0\r\n\r\n')],
    ['101 without Upgrade', 'upstream-invalid', answering('HTTP/1.1 101 Switching Protocols\r\n\r\n')],
    [
      '101 that nobody asked for',
      'upstream-invalid',
      answering('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
    ],
  ];

  test.each(cases)('by %s makes 502 %s, after one call', async (_, name, reaction) => {
    react = reaction;
    const before = raw.begun();
    expectProblem(await send(gateway, '/raw/x', { timeoutMs: 5_000 }), 502, name);
    expect(raw.begun() - before).toBe(1);
  });

  test('by switching protocols for a client that asked makes 502, too: Upgrade never got there', async () => {
    react = answering(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes',
    );
    const { text } = await sendRaw(
      gateway,
      'GET /raw/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      { until: (received) => answersIn(received).length > 0 },
    );
    expect(answersIn(text)[0]?.status).toBe(502);
  });

  test.each(['GET', 'HEAD', 'POST', 'PUT', 'DELETE'])('is never asked twice: %s', async (method) => {
    react = (socket) => socket.destroy();
    const before = raw.begun();
    expect((await send(gateway, '/raw/x', { method })).status).toBe(502);
    expect(raw.begun() - before).toBe(1);
  });

  test('is never asked twice when a kept connection breaks', async () => {
    let count = 0;
    react = (socket) => {
      count++;
      if (count === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else socket.destroy();
    };
    expect((await send(gateway, '/raw/x')).status).toBe(200);
    expectProblem(await send(gateway, '/raw/x'), 502, 'upstream-reset');
    expect(count).toBe(2);
  });

  test.each(['0', '1', 'Fri, 31 Dec 2099 23:59:59 GMT', 'soon'])(
    'by 503 with Retry-After: %s is asked once, and its answer passes',
    async (retryAfter) => {
      handle = (_, response) => response.writeHead(503, { 'retry-after': retryAfter }).end('own words');
      const before = service.begun();
      const answer = await send(gateway, '/api/x');
      expect([answer.status, answer.headers['retry-after'], answer.text]).toEqual([
        503,
        retryAfter,
        'own words',
      ]);
      expect(service.begun() - before).toBe(1);
    },
  );

  test('leaves the client’s connection in order', async () => {
    react = (socket) => socket.destroy();
    const { text } = await sendRaw(
      gateway,
      'GET /raw/x HTTP/1.1\r\nHost: a\r\n\r\nGET /api/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    expect(answersIn(text).map((answer) => answer.status)).toEqual([502, 200]);
  });
});

describe('an answer that is cut short', () => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n';
  const cases: Array<[what: string, reaction: (socket: Socket) => void]> = [
    ['before its Content-Length', (socket) => socket.end(`${head}Content-Length: 100\r\n\r\nonly this`)],
    [
      'before its last chunk',
      (socket) => socket.end(`${head}Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n`),
    ],
    ['inside a chunk', (socket) => socket.end(`${head}Transfer-Encoding: chunked\r\n\r\n63\r\nonly this`)],
    ['before its first byte', (socket) => socket.end(`${head}Content-Length: 100\r\n\r\n`)],
    [
      'by a chunk that is none',
      (socket) => socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\nnonsense\r\n`),
    ],
  ];

  test.each(cases)('%s is cut for the client, too, never a clean end', async (_, reaction) => {
    react = reaction;
    const before = raw.begun();
    const { text, closed } = await sendRaw(gateway, 'GET /raw/x HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(closed).toBe(true);
    expect(text).not.toContain('0\r\n\r\n');
    expect(answersIn(text).filter((answer) => answer.status === 200)).toEqual([]);
    expect(raw.begun() - before).toBe(1);
    await alive();
  });

  const chunk = 'Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n';
  test.each([
    ['closed', chunk, (socket: Socket) => socket.destroy()],
    ['reset', chunk, (socket: Socket) => socket.resetAndDestroy()],
    ['reset where no length is told', '\r\nfirst', (socket: Socket) => socket.resetAndDestroy()],
  ])('after a while (%s) is cut for the client at that moment', async (_, body, end) => {
    let cut = () => {};
    react = (socket) => {
      socket.write(`${head}${body}`);
      cut = () => void end(socket);
    };
    const client = await connect(gateway);
    client.socket.write('GET /raw/x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.received().includes('first'), 'the first chunk');
    cut();
    await until(() => client.closed(), 'the client’s connection is cut', atOnceMs);
    expect(answersIn(client.received())).toEqual([]);
  });
});

describe('a service that takes too long', () => {
  test('gets 504 in its name after timeoutMs, neither earlier nor much later', async () => {
    handle = () => {};
    const elapsedMs: number[] = [];
    for (const attempt of [1, 2, 3]) {
      const before = service.begun();
      const begin = performance.now();
      expectProblem(await send(gateway, `/hasty/${attempt}`), 504, 'upstream-timeout');
      elapsedMs.push(performance.now() - begin);
      expect(service.begun() - before).toBe(1);
    }
    expect(Math.min(...elapsedMs)).toBeGreaterThan(290);
    // The fastest of three: a busy machine is late sometimes, a timer that is too coarse is late every time.
    expect(Math.min(...elapsedMs)).toBeLessThan(900);
  });

  test('gets 504 for a POST whose body it has read, and loses the call', async () => {
    let left = false;
    handle = (_, response) => {
      response.once('close', () => {
        left = true;
      });
    };
    expectProblem(
      await send(gateway, '/hasty/x', { method: 'POST', body: 'hello' }),
      504,
      'upstream-timeout',
    );
    await until(() => left, 'the call is cancelled', atOnceMs);
  });

  test('gets 504 when interim answers are all it sends', async () => {
    handle = (_, response) => {
      const hints = setInterval(() => response.writeProcessing(), 50);
      response.once('close', () => clearInterval(hints));
    };
    expectProblem(await send(gateway, '/hasty/x', { timeoutMs: 5_000 }), 504, 'upstream-timeout');
  });

  test('gets 504 when it never reads the body, and then the client’s connection is closed', async () => {
    handle = (request) => void request.pause();
    const size = 32 * mebibyte;
    const client = await connect(gateway);
    client.socket.write(`POST /hasty/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    client.socket.write(Buffer.alloc(size));
    await until(() => answersIn(client.received()).length === 1, 'an answer');
    for (const answer of answersIn(client.received())) expectProblem(answer, 504, 'upstream-timeout');
    await expectEnd(client, 504);
  });

  test('is not blamed while it reads a long upload at its own pace', async () => {
    handle = (request, response) => {
      const inHurryAt = performance.now() + 3_000;
      request.on('data', () => {
        if (performance.now() > inHurryAt) return;
        request.pause();
        setTimeout(() => request.resume(), 4);
      });
      request.on('end', () => response.end('ok'));
    };
    const body = Buffer.alloc(64 * mebibyte);
    const answer = await send(gateway, '/leisurely/x', { method: 'POST', body, timeoutMs: 25_000 });
    expect([answer.status, answer.text]).toEqual([200, 'ok']);
  });

  test('is not blamed while the client is the slow one', async () => {
    const body = slowly(10, 150);
    const answer = await send(gateway, '/patient/x', { method: 'POST', body });
    expect([answer.status, answer.text]).toEqual([200, 'ok']);
    expect(service.seen[0]?.body.toString()).toBe('part '.repeat(10));
  });

  test.each([60, 20_000])(
    'is not blamed while the client sends %i bytes of known length slowly',
    async (length) => {
      const part = 'x'.repeat(length / 10);
      const body = slowly(10, 150, part);
      const headers = { 'content-length': length };
      const answer = await send(gateway, '/patient/x', { method: 'POST', headers, body });
      expect([answer.status, answer.text]).toEqual([200, 'ok']);
      expect(service.seen[0]?.body.toString()).toBe(part.repeat(10));
    },
  );

  test('still has its whole time after a slow upload of known length', async () => {
    handle = (request, response) => {
      request.on('end', () => setTimeout(() => response.end('ok'), 500));
    };
    const headers = { 'content-length': 25 };
    const answer = await send(gateway, '/patient/x', { method: 'POST', headers, body: slowly(5, 150) });
    expect(answer.status).toBe(200);
  });

  test('is not blamed while the client stalls for longer than timeoutMs', async () => {
    const answer = await send(gateway, '/patient/x', { method: 'POST', body: slowly(1, 1_200) });
    expect([answer.status, answer.text]).toEqual([200, 'ok']);
  });

  test('still has its whole time after a slow upload', async () => {
    handle = (request, response) => {
      request.on('end', () => setTimeout(() => response.end('ok'), 300));
    };
    const body = slowly(5, 200);
    expect((await send(gateway, '/patient/x', { method: 'POST', body })).status).toBe(200);
  });

  test('gets 504 after a slow upload that it does not answer', async () => {
    handle = () => {};
    const body = slowly(5, 80);
    const answer = await send(gateway, '/hasty/x', { method: 'POST', body });
    expectProblem(answer, 504, 'upstream-timeout');
  });

  test('only has to begin in time: a slow body is no timeout', async () => {
    handle = (_, response) => {
      response.write('begun ');
      setTimeout(() => response.end('and done'), 1_200);
    };
    expect((await send(gateway, '/patient/x')).text).toBe('begun and done');
  });

  test('and then answers harms nobody', async () => {
    handle = (_, response) => void setTimeout(() => response.end('late'), 1_000);
    expect((await send(gateway, '/patient/x')).status).toBe(504);
    handle = (_, response) => response.end('fresh');
    expect((await send(gateway, '/patient/x')).text).toBe('fresh');
  });
});

describe('a client that leaves', () => {
  let left: boolean;

  beforeEach(() => {
    left = false;
    handle = (_, response) => {
      response.once('close', () => {
        left = !response.writableFinished;
      });
    };
  });

  async function begin(bytes: string): Promise<Connection> {
    const before = service.begun();
    const client = await connect(gateway);
    client.socket.write(bytes);
    await until(() => service.begun() > before, 'the service has the request');
    return client;
  }

  const requests: Array<[what: string, bytes: string]> = [
    ['GET', 'GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['POST', 'POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello'],
    ['POST without a body', 'POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n'],
    [
      'chunked POST',
      'POST /api/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    ],
  ];

  test.each(requests)('before the answer takes its call along: %s', async (_, bytes) => {
    const client = await begin(bytes);
    if (!bytes.startsWith('GET')) await until(() => service.seen.length === 1, 'the service has the body');
    client.socket.destroy();
    await until(() => left, 'the call is cancelled', atOnceMs);
    await alive();
  });

  test('by a reset takes its call along', async () => {
    const client = await begin('GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n');
    client.socket.resetAndDestroy();
    await until(() => left, 'the call is cancelled', atOnceMs);
    await alive();
  });

  test('takes all its calls along, pipelined ones too', async () => {
    let open = 0;
    handle = (_, response) => {
      open++;
      response.once('close', () => open--);
    };
    const client = await connect(gateway);
    client.socket.write('GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3));
    await until(() => open > 0, 'the service has a request');
    // A gateway may forward pipelined requests all at once, as Node does, or one after the other.
    await until(() => open === 3, 'the service has them all', 1_000).catch(() => {});
    client.socket.destroy();
    await until(() => open === 0, 'every call is cancelled', atOnceMs);
    await alive();
  });

  const uploads: Array<[what: string, bytes: string]> = [
    ['of known length', 'POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhello'],
    [
      'of unknown length',
      'POST /api/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    ],
  ];

  test.each(uploads)(
    'in the middle of an upload %s takes it along, and it never looks complete',
    async (_, bytes) => {
      const client = await begin(bytes);
      client.socket.destroy();
      await until(() => left, 'the call is cancelled', atOnceMs);
      expect(service.seen).toEqual([]);
      await alive();
    },
  );

  test.each([5, 16_384])('in the middle of an upload of %i bytes makes no call at all', async (length) => {
    handle = (_, response) => void response.end('ok');
    const before = service.begun();
    const client = await connect(gateway);
    const path = `/api/half-of-${length}`;
    client.socket.write(
      `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${'x'.repeat(length / 2)}`,
    );
    for (let i = 0; i < 3; i++) expect((await send(gateway, '/api/other')).text).toBe('ok');
    client.socket.destroy();
    const line = await gateway.waitForLog((entry) => entry.path === path);
    expect(line).toMatchObject({ route: '/api', service: 'service', status: 499 });
    expect((await send(gateway, '/api/other')).text).toBe('ok');
    expect(service.begun() - before).toBe(4);
  });

  test('in the middle of an answer takes it along', async () => {
    handle = (_, response) => {
      response.once('close', () => {
        left = !response.writableFinished;
      });
      response.write('begun');
    };
    const client = await begin('GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.received().includes('begun'), 'the answer has begun');
    client.socket.destroy();
    await until(() => left, 'the call is cancelled', atOnceMs);
    await alive();
  });

  test('while an answer waits for it takes the answer along', async () => {
    let taken = 0;
    handle = (_, response) => {
      response.once('close', () => {
        left = !response.writableFinished;
      });
      Readable.from(
        (function* () {
          for (; taken < 1_000; taken++) yield Buffer.alloc(65_536);
        })(),
      ).pipe(response);
    };
    const client = await connect(gateway);
    client.socket.pause();
    client.socket.write('GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => taken > 100, 'the answer flows');
    client.socket.destroy();
    await until(() => left, 'the call is cancelled', atOnceMs);
    await alive();
  });

  test('is logged with 499', async () => {
    const client = await begin('GET /api/gone HTTP/1.1\r\nHost: a\r\n\r\n');
    client.socket.destroy();
    const line = await gateway.waitForLog((entry) => entry.path === '/api/gone');
    expect(line).toMatchObject({
      msg: 'request',
      method: 'GET',
      route: '/api',
      service: 'service',
      status: 499,
    });
    expect(line).not.toHaveProperty('refusedBy');
  });

  test('in crowds harms nobody', async () => {
    const clients = await Promise.all(Array.from({ length: 50 }, () => connect(gateway)));
    const before = service.begun();
    for (const client of clients) client.socket.write('GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => service.begun() - before === 50, 'the service has all requests');
    for (const client of clients) client.socket.destroy();
    handle = (_, response) => response.end('ok');
    expect((await send(gateway, '/api/x')).text).toBe('ok');
  });
});

describe('a service that answers before it has the whole request', () => {
  const size = 4 * mebibyte;
  const rest = Buffer.alloc(size - 5, 'a');
  const start = (path: string) => `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\nhello`;

  const refusals: Array<[what: string, handler: RequestListener]> = [
    ['and goes on reading', (_, response) => void response.writeHead(413).end('too much')],
    [
      'and reads no more',
      (request, response) => {
        request.pause();
        response.writeHead(413, { 'content-length': 8 }).end('too much');
      },
    ],
    [
      'and closes',
      (request, response) => {
        request.pause();
        response.writeHead(413, { connection: 'close' }).end('too much', () => request.socket.destroySoon());
      },
    ],
  ];

  test.each(refusals)('%s is heard, and then the client’s connection is closed', async (_, handler) => {
    handle = handler;
    const client = await connect(gateway);
    client.socket.write(start('/api/x'));
    await until(() => answersIn(client.received()).length === 1, 'the answer comes before the upload ends');
    expect(answersIn(client.received())[0]?.text).toBe('too much');
    client.socket.write(rest);
    await expectEnd(client, 413);
  });

  test('is heard by a client that sends everything first, and its connection stays in order or is closed as announced', async () => {
    handle = (_, response) => void response.writeHead(413).end('too much');
    const client = await connect(gateway);
    client.socket.write(start('/api/x'));
    client.socket.write(rest);
    await until(() => answersIn(client.received()).length === 1, 'the answer');
    expect(answersIn(client.received())[0]?.text).toBe('too much');
    await expectInOrder(client, 413);
  });

  test.each([
    ['closes', (socket: Socket) => socket.destroy()],
    ['resets', (socket: Socket) => socket.resetAndDestroy()],
  ])('or rather %s the connection makes 502, and then the client’s connection is closed', async (_, end) => {
    react = (socket) => void end(socket);
    const before = raw.begun();
    const client = await connect(gateway);
    client.socket.write(start('/raw/x'));
    await until(() => answersIn(client.received()).length === 1, 'the answer');
    for (const answer of answersIn(client.received())) expectProblem(answer, 502, 'upstream-reset');
    expect(raw.begun() - before).toBe(1);
    client.socket.write(rest);
    await expectEnd(client, 502);
  });

  test('is heard to the end of a long answer', async () => {
    const text = 'too much '.repeat(200_000);
    handle = (_, response) => void response.writeHead(413).end(text);
    const client = await connect(gateway);
    client.socket.write(start('/api/x'));
    await until(() => answersIn(client.received()).length === 1, 'the whole answer', 10_000);
    expect(answersIn(client.received())[0]?.text).toHaveLength(text.length);
    client.socket.write(rest);
    await expectEnd(client, 413);
  });

  test('does not exist when a route is missing: the upload is refused and the connection is closed', async () => {
    const client = await connect(gateway);
    client.socket.write(start('/unrouted'));
    await until(() => answersIn(client.received()).length === 1, 'the refusal comes before the upload ends');
    client.socket.write(rest);
    await expectEnd(client, 404);
  });

  test('is not blamed when it is unreachable: 502, and the connection is closed', async () => {
    const client = await connect(gateway);
    client.socket.write(start('/dead/x'));
    await until(() => answersIn(client.received()).length === 1, 'the refusal comes before the upload ends');
    client.socket.write(rest);
    await expectEnd(client, 502);
  });
});

describe('a refused upload', () => {
  const times = Array.from({ length: 20 }, (_, i) => i);
  const head = (path: string, length: number) =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
  const chunkedHead = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`;

  test.each([
    ['no route', 404, '/unrouted'],
    ['an ambiguous path', 400, '/api/../x'],
    ['an unreachable service', 502, '/dead/x'],
  ])(
    'because of %s gets its %i, even if the client reads when it has written 1 MB',
    async (_, status, path) => {
      const upload = head(path, 1_000_000) + 'x'.repeat(1_000_000);
      const answers = await Promise.all(times.map(() => writeThenRead(gateway, upload)));
      expect(answers.flat().map((answer) => answer.status)).toEqual(times.map(() => status));
      for (const answer of answers.flat()) expect(answer.headers['content-type']).toMatch(/problem/);
    },
  );

  const endings: Array<[what: string, head: string, part: string]> = [
    ['with a length', head('/unrouted', 1_000_000_000), 'x'],
    ['in chunks', chunkedHead('/unrouted'), '1\r\nx\r\n'],
  ];

  test.each(endings)('is not read for more than some seconds: %s, slowly', async (_, begin, part) => {
    const client = await connect(gateway, { allowHalfOpen: true });
    client.socket.write(begin);
    await until(() => answersIn(client.received()).length === 1, 'the refusal');
    const refused = performance.now();
    const writing = setInterval(() => client.socket.write(part), 50);
    await until(() => client.closed(), 'the connection is closed', 10_000).finally(() =>
      clearInterval(writing),
    );
    // 2 s, and room for a busy machine.
    expect(performance.now() - refused).toBeLessThan(5_000);
    expect(answersIn(client.received()).map(({ status }) => status)).toEqual([404]);
  });

  test.each(endings)('is not read without end: %s, as fast as it goes', async (_, begin, part) => {
    const parts = Buffer.from(part.repeat(10_000));
    const most = 48 * mebibyte; // more than the buffers of the system hold
    let taken = 0;
    const client = await connect(gateway, { allowHalfOpen: true });
    client.socket.write(begin);
    const write = () =>
      client.socket.write(parts, (error) => {
        if (error || taken >= most) return;
        taken += parts.length;
        write();
      });
    write();
    await until(() => client.closed() || taken >= most, 'the connection is closed', 20_000);
    client.socket.destroy();
    expect(taken).toBeLessThan(most);
    expect(answersIn(client.received()).map(({ status }) => status)).toEqual([404]);
  });

  test.each([
    ['with a length', 404, `${head('/unrouted', 5)}hello`],
    ['with a length of 10 KB', 404, head('/unrouted', 10_000) + 'x'.repeat(10_000)],
    ['in chunks', 404, `${chunkedHead('/unrouted')}5\r\nhello\r\n0\r\n\r\n`],
    ['with a length, to an unreachable service', 502, `${head('/dead/x', 5)}hello`],
    ['in chunks, to an unreachable service', 502, `${chunkedHead('/dead/x')}5\r\nhello\r\n0\r\n\r\n`],
  ])('that comes at once and is small keeps its connection: %s (%i)', async (_, status, bytes) => {
    const client = await connect(gateway);
    client.socket.write(bytes);
    await until(() => answersIn(client.received()).length === 1, 'the refusal');
    await expectNext(client, status);
  });
});
