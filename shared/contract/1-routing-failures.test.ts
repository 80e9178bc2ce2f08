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
function slowly(parts: number, pauseMs: number): Readable {
  return Readable.from(
    (async function* () {
      for (let i = 0; i < parts; i++) {
        yield 'part ';
        await sleep(pauseMs);
      }
    })(),
  );
}

/** Asserts that a client that has sent its request can send the next, unless Connection: close was announced. */
async function expectInOrder(client: Connection, status: number): Promise<void> {
  const [answer, ...others] = answersIn(client.received());
  expect([answer?.status, others]).toEqual([status, []]);
  if (answer?.headers.connection === 'close') {
    await until(() => client.closed(), 'the connection is closed as announced');
    return;
  }
  handle = (request, response) => void request.on('end', () => response.end('ok'));
  client.socket.write('GET /api/next HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(
    () => answersIn(client.received()).length === 2,
    'the next request on this connection is answered',
  );
  client.socket.destroy();
  expect(answersIn(client.received())[1]?.status).toBe(200);
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
    'within its time makes 504 for an upload, too, and the connection stays in order',
    async () => {
      const client = await connect(gateway);
      client.socket.write(`POST /silent/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${mebibyte}\r\n\r\n`);
      client.socket.write(Buffer.alloc(mebibyte));
      await until(() => answersIn(client.received()).length === 1, 'an answer');
      await expectInOrder(client, 504);
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

  test('gets 504 when it never reads the body, and the client’s connection stays in order', async () => {
    handle = (request) => void request.pause();
    const size = 32 * mebibyte;
    const client = await connect(gateway);
    client.socket.write(`POST /hasty/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    client.socket.write(Buffer.alloc(size));
    await until(() => answersIn(client.received()).length === 1, 'an answer');
    for (const answer of answersIn(client.received())) expectProblem(answer, 504, 'upstream-timeout');
    await expectInOrder(client, 504);
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

  test.each(refusals)('%s is heard, and the client’s connection stays in order', async (_, handler) => {
    handle = handler;
    const client = await connect(gateway);
    client.socket.write(start('/api/x'));
    await until(() => answersIn(client.received()).length === 1, 'the answer comes before the upload ends');
    expect(answersIn(client.received())[0]?.text).toBe('too much');
    client.socket.write(rest);
    await expectInOrder(client, 413);
  });

  test('is heard by a client that sends everything first, and its connection stays in order', async () => {
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
  ])('or rather %s the connection makes 502, and the client’s connection stays in order', async (_, end) => {
    react = (socket) => void end(socket);
    const before = raw.begun();
    const client = await connect(gateway);
    client.socket.write(start('/raw/x'));
    await until(() => answersIn(client.received()).length === 1, 'the answer');
    for (const answer of answersIn(client.received())) expectProblem(answer, 502, 'upstream-reset');
    expect(raw.begun() - before).toBe(1);
    client.socket.write(rest);
    await expectInOrder(client, 502);
  });

  test('does not exist when a route is missing: the upload is refused and the connection stays in order', async () => {
    const client = await connect(gateway);
    client.socket.write(start('/unrouted'));
    await until(() => answersIn(client.received()).length === 1, 'the refusal comes before the upload ends');
    client.socket.write(rest);
    await expectInOrder(client, 404);
  });

  test('is not blamed when it is unreachable: 502, and the connection stays in order', async () => {
    const client = await connect(gateway);
    client.socket.write(start('/dead/x'));
    await until(() => answersIn(client.received()).length === 1, 'the refusal comes before the upload ends');
    client.socket.write(rest);
    await expectInOrder(client, 502);
  });
});
