import type { RequestListener, ServerResponse } from 'node:http';
import net, { type Socket } from 'node:net';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type Answer,
  answersIn,
  connect,
  expectProblem,
  send,
  sendRaw,
  until,
  writeThenRead,
} from './harness/client.ts';
import { configFor, type Gateway, startGateway } from './harness/gateway.ts';
import { startRawUpstream, startUpstream, type Upstream } from './harness/upstream.ts';

let gateway: Gateway;
let service: Upstream;
/** The handler of the service in the current test. */
let handle: RequestListener;
/** The handler of the raw service in the current test. */
let react: (socket: Socket) => void;
let barriers = 0;

beforeAll(async () => {
  service = await startUpstream((request, response) => {
    if (request.url?.startsWith('/barrier')) response.end('ok');
    else handle(request, response);
  });
  const raw = await startRawUpstream((socket) => react(socket));
  gateway = await startGateway(
    configFor({
      services: {
        service: { url: service.url, timeoutMs: 20_000 },
        raw: { url: raw.url, timeoutMs: 20_000 },
      },
      routes: [
        { prefix: '/api', service: 'service' },
        { prefix: '/raw', service: 'raw' },
      ],
    }),
  );
});

beforeEach(() => {
  service.seen.length = 0;
  handle = (request, response) => void request.on('end', () => response.end('ok'));
});

/** Sends a request and waits for its line in the log. What the gateway could do before it has been done then. */
async function passBarrier(): Promise<void> {
  const path = `/api/barrier-${++barriers}`;
  expect((await send(gateway, path)).text).toBe('ok');
  await gateway.waitForLog((line) => line.path === path);
}

/** The targets that the service has seen completely, without those of barriers. */
const executed = () =>
  service.seen.map(({ target }) => target).filter((target) => !target.startsWith('/barrier'));

/** The lines of all requests that the gateway logs during `act`: at least one. */
async function linesOf(act: () => Promise<void>): Promise<Array<Record<string, unknown>>> {
  await passBarrier();
  const from = gateway.log().length;
  const lines = () =>
    gateway
      .log()
      .slice(from)
      .filter(({ msg, path }) => msg === 'request' && !String(path).startsWith('/api/barrier'));
  await act();
  await until(() => lines().length > 0, 'the request is in the log');
  await passBarrier();
  return lines();
}

const get = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
const chunkedPost = (path: string) =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`;
/** Splits `bytes` bytes into chunks of this size. */
const inChunks = (size: number, bytes: number) =>
  `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`.repeat(bytes / size);
const lastChunk = '0\r\n\r\n';

describe('an empty Transfer-Encoding', () => {
  test.each([
    ['without a length', ''],
    ['with a length', 'Content-Length: 5\r\n'],
    ['with a space as its value', 'Content-Length: 5\r\n', ' '],
  ])('%s gets 400 and loses the connection', async (_, length, value = '') => {
    const before = service.begun();
    const { text, closed } = await sendRaw(
      gateway,
      `POST /api/x HTTP/1.1\r\nHost: a\r\n${length}Transfer-Encoding:${value}\r\n\r\nhello${get('/api/smuggled')}`,
    );
    expect(closed).toBe(true);
    const [answer, ...more] = answersIn(text);
    expectProblem(answer as Answer, 400, 'bad-request');
    expect([answer?.headers.connection, more]).toEqual(['close', []]);
    expect(service.begun()).toBe(before);
  });
});

describe('bytes behind a good request', () => {
  const post = 'POST /api/good HTTP/1.1\r\nHost: a\r\n';
  const cases: Array<[what: string, good: string, more: string]> = [
    ['a second one behind Connection: close', get('/api/good', 'Connection: close\r\n'), get('/api/second')],
    [
      'a second one behind Connection: close and a body',
      `${post}Connection: close\r\nContent-Length: 5\r\n\r\nhello`,
      get('/api/second'),
    ],
    [
      'a body longer than its length, behind Connection: close',
      `${post}Connection: close\r\nContent-Length: 5\r\n\r\nhello`,
      ', world',
    ],
    ['a body longer than its length', `${post}Content-Length: 5\r\n\r\nhello`, ', world'],
    ['bytes that are not HTTP', get('/api/good'), 'nonsense\r\n\r\n'],
    [
      'bytes that are not HTTP, behind chunks',
      `${chunkedPost('/api/good')}5\r\nhello\r\n${lastChunk}`,
      '\0\x01',
    ],
    ['header fields over 16 KiB', get('/api/good'), get('/api/second', `X-Big: ${'a'.repeat(17_000)}\r\n`)],
  ];
  // Longer than what a socket takes at once, so that a connection that is closed too early loses a part.
  const body = 'good'.repeat(500_000);

  describe.each([
    ['in the same packet', (socket: Socket, good: string, more: string) => socket.write(good + more)],
    [
      'while it is in flight',
      async (socket: Socket, good: string, more: string) => {
        const before = service.begun();
        socket.write(good);
        await until(() => service.begun() > before, 'the service has the good request');
        socket.write(more);
      },
    ],
  ])('%s', (_, write) => {
    test.each(cases)('do not cost it its answer, then the connection ends: %s', async (_, good, more) => {
      let held: ServerResponse | undefined;
      handle = (request, response) => void request.on('end', () => (held = response));
      const client = await connect(gateway);
      const lines = await linesOf(async () => {
        await write(client.socket, good, more);
        await until(() => held !== undefined, 'the service has the good request');
        await passBarrier();
        held?.end(body);
        await until(() => client.closed(), 'the connection is closed');
      });
      const answers = answersIn(client.received());
      expect(answers.map(({ status, text }) => [status, text.length])).toEqual([[200, body.length]]);
      expect(executed()).toEqual(['/good']);
      expect(lines).toMatchObject([{ path: '/api/good', status: 200, service: 'service' }]);
      expect(lines[0]).not.toHaveProperty('refusedBy');
    });
  });

  test('do not execute a request without an answer, when some wait', async () => {
    handle = (request, response) => void request.on('end', () => response.end(request.url));
    const client = await connect(gateway);
    const lines = await linesOf(async () => {
      client.socket.write(`${get('/api/1')}${get('/api/2')}${get('/api/3')}nonsense\r\n\r\n`);
      await until(() => client.closed(), 'the connection is closed');
    });
    const answers = answersIn(client.received()).filter(({ status }) => status === 200);
    expect(answers.map(({ text }) => text)).toEqual(executed());
    expect(executed()[0]).toBe('/1');
    expect(lines.filter(({ status }) => status !== 400).map(({ path, status }) => [path, status])).toEqual(
      executed().map((target) => [`/api${target}`, 200]),
    );
  });
});

describe('bytes behind a request with Upgrade', () => {
  // The second request comes with the first one, and its body in a packet of its own.
  test('are never a request, and its answer ends the connection', async () => {
    const inBody = get('/api/in-body');
    for (let round = 0; round < 10; round++) {
      const client = await connect(gateway);
      const upgrade = get('/api/upgrade', 'Connection: Upgrade\r\nUpgrade: x\r\n');
      const post = `POST /api/second HTTP/1.1\r\nHost: a\r\nContent-Length: ${inBody.length}\r\n\r\n`;
      client.socket.write(upgrade + post);
      await until(() => answersIn(client.received()).length > 0, 'the first request is answered');
      client.socket.write(inBody);
      await until(() => client.closed(), 'the connection is closed');
      const [answer, ...more] = answersIn(client.received());
      expect([answer?.status, answer?.headers.connection, more]).toEqual([200, 'close', []]);
    }
    await passBarrier();
    expect(executed()).toEqual(Array.from({ length: 10 }, () => '/upgrade'));
  });
});

describe('an upload whose framing breaks', () => {
  const breaks: Array<[what: string, bytes: string]> = [
    ['by a chunk that is none', 'nonsense\r\n'],
    ['by a chunk that is longer than its size', '1\r\nxyz\r\n'],
    ['by a chunk size beyond all bounds', `${'f'.repeat(20)}\r\nx`],
  ];

  test.each(breaks)('%s gets 400, and its call is cancelled and logged once, with 400', async (_, bytes) => {
    let cancelled = false;
    handle = (_request, response) => {
      response.once('close', () => {
        cancelled = !response.writableFinished;
      });
    };
    const client = await connect(gateway);
    const lines = await linesOf(async () => {
      const before = service.begun();
      client.socket.write(`${chunkedPost('/api/broken')}5\r\nhello\r\n`);
      await until(() => service.begun() > before, 'the service has the beginning');
      client.socket.write(bytes);
      await until(() => client.closed(), 'the connection is closed');
    });
    const [answer, ...more] = answersIn(client.received());
    expectProblem(answer as Answer, 400, 'bad-request');
    expect([answer?.headers.connection, more]).toEqual(['close', []]);
    await until(() => cancelled, 'the call is cancelled');
    expect(executed()).toEqual([]);
    expect(lines).toMatchObject([
      {
        method: 'POST',
        path: '/api/broken',
        route: '/api',
        service: 'service',
        status: 400,
        refusedBy: 'parse',
      },
    ]);
  });

  test.each([
    ['no route', '/nowhere'],
    ['a service', '/api/broken'],
  ])('at once, to %s, gets one answer, which the one line of the log repeats', async (_, target) => {
    const client = await connect(gateway);
    const lines = await linesOf(async () => {
      client.socket.write(`${chunkedPost(target)}nonsense\r\n`);
      await until(() => client.closed(), 'the connection is closed');
    });
    const answers = answersIn(client.received());
    expect(answers).toHaveLength(1);
    expect([400, 404]).toContain(answers[0]?.status);
    expect(lines.map(({ status }) => status)).toEqual([answers[0]?.status]);
    expect(executed()).toEqual([]);
  });
});

describe('an upload', () => {
  const bytes = 200 * 1024;

  const wasteful: Array<[what: string, chunk: string]> = [
    ['chunks of 1 byte', '1\r\nx\r\n'],
    ['chunks of 1 byte, their sizes with zeros in front', '0001\r\nx\r\n'],
    ['chunks of 20 bytes with longer extensions', `14;extension=${'e'.repeat(60)}\r\n${'x'.repeat(20)}\r\n`],
  ];

  test.each(wasteful)(
    'that is more framing than data gets 400, and its call is cancelled: %s',
    async (_, chunk) => {
      let open = 0;
      let complete = 0;
      handle = (request, response) => {
        open++;
        response.once('close', () => open--);
        request.on('end', () => complete++);
      };
      const client = await connect(gateway);
      const lines = await linesOf(async () => {
        client.socket.write(chunkedPost('/api/wasteful') + chunk);
        await until(() => open === 1, 'the service has the beginning');
        client.socket.write(chunk.repeat(bytes / chunk.length));
        await until(() => client.closed(), 'the connection is closed');
      });
      const [answer, ...more] = answersIn(client.received());
      expectProblem(answer as Answer, 400, 'bad-request');
      expect([answer?.headers.connection, more]).toEqual(['close', []]);
      await until(() => open === 0, 'the call is cancelled');
      expect(complete).toBe(0);
      expect(lines).toMatchObject([{ path: '/api/wasteful', status: 400, refusedBy: 'parse' }]);
    },
  );

  test.each([16, 17, 100, 65_536])('in chunks of %i bytes arrives, however long it is', async (size) => {
    const total = size * Math.floor((4 * 1024 * 1024) / size);
    const { text } = await sendRaw(
      gateway,
      chunkedPost('/api/x').replace('Host: a', 'Host: a\r\nConnection: close') +
        inChunks(size, total) +
        lastChunk,
      { timeoutMs: 20_000 },
    );
    expect(answersIn(text).map(({ status }) => status)).toEqual([200]);
    expect(service.seen.map(({ body }) => body.length)).toEqual([total]);
  });

  test('of 1-byte chunks arrives while it is small', async () => {
    const { text } = await sendRaw(
      gateway,
      chunkedPost('/api/x').replace('Host: a', 'Host: a\r\nConnection: close') +
        inChunks(1, 1_000) +
        lastChunk,
    );
    expect(answersIn(text).map(({ status }) => status)).toEqual([200]);
    expect(service.seen.map(({ body }) => body.length)).toEqual([1_000]);
  });

  test.each([
    [
      'a body with a length',
      'POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n',
      'x'.repeat(30_000),
    ],
    ['a body in chunks of 1,000 bytes', chunkedPost('/api/x'), inChunks(1_000, 30_000) + lastChunk],
  ])('is not taken for wasteful because it comes byte by byte: %s', async (_, head, body) => {
    const client = await connect(gateway);
    client.socket.setNoDelay();
    client.socket.write(head);
    for (const byte of body) {
      await new Promise((resolve) => client.socket.write(byte, resolve));
    }
    await until(() => answersIn(client.received()).length > 0, 'the answer');
    client.socket.destroy();
    expect(answersIn(client.received()).map(({ status }) => status)).toEqual([200]);
    expect(service.seen.map((seen) => seen.body.length)).toEqual([30_000]);
  });

  test('is not taken for wasteful because of the requests behind it', async () => {
    handle = (request, response) => void request.on('end', () => response.end(request.url));
    const count = 1_000;
    const targets = Array.from({ length: count }, (_, i) => `/${i}`);
    const client = await connect(gateway);
    client.socket.write(
      `${chunkedPost('/api/first')}5\r\nhello\r\n${lastChunk}${targets.map((target) => get(`/api${target}`)).join('')}`,
    );
    const answers = () => answersIn(client.received());
    await until(
      () => client.received().includes(`\r\n\r\n${targets.at(-1)}`) || client.closed(),
      'all',
      20_000,
    );
    client.socket.destroy();
    expect(answers().map(({ text }) => text)).toEqual(['/first', ...targets]);
  });

  test('is not taken for wasteful because of the requests before it', async () => {
    const client = await connect(gateway);
    for (let i = 1; i <= 20; i++) {
      client.socket.write(get('/api/x', `X-Big: ${'a'.repeat(8_000)}\r\n`));
      await until(() => answersIn(client.received()).length === i, `answer ${i}`);
    }
    client.socket.write(chunkedPost('/api/x') + inChunks(64, 64_000) + lastChunk);
    await until(() => answersIn(client.received()).length === 21, 'the last answer');
    client.socket.destroy();
    expect(new Set(answersIn(client.received()).map(({ status }) => status))).toEqual(new Set([200]));
    expect(service.seen.at(-1)?.body).toHaveLength(64_000);
  });
});

describe('a client of HTTP/1.0', () => {
  const head = 'HTTP/1.1 200 OK\r\n';

  test.each<[string, string, (socket: Socket) => void]>([
    ['before its last chunk', 'Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n', (socket) => socket.end()],
    ['before its length', 'Content-Length: 100\r\n\r\nfirst', (socket) => socket.end()],
    ['by a reset, without a length', '\r\nfirst', (socket) => socket.resetAndDestroy()],
  ])('gets a reset when its answer is cut short %s', async (_, begin, end) => {
    let cut = () => {};
    react = (socket) => {
      socket.write(head + begin);
      cut = () => end(socket);
    };
    let text = '';
    let how: string | undefined;
    const socket = net.connect(gateway.port, gateway.host);
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part;
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      how ??= error.code;
    });
    socket.once('end', () => {
      how ??= 'a clean end';
    });
    socket.write('GET /raw/x HTTP/1.0\r\nHost: a\r\n\r\n');
    await until(() => text.includes('first'), 'the first part');
    cut();
    await until(() => how !== undefined, 'the connection ends');
    socket.destroy();
    expect(how).toBe('ECONNRESET');
  });
});

describe('a client that reads when it has written 1 MB', () => {
  const times = Array.from({ length: 20 }, (_, i) => i);
  const body = 'x'.repeat(1_000_000);

  test.each([
    [431, 'header fields of 20 KB', `${get('/api/x', `X-Big: ${'a'.repeat(20_000)}\r\n`)}${body}`],
    [431, 'a header field without end', `GET /api/x HTTP/1.1\r\nHost: a\r\nX-Big: ${body}`],
    [400, 'two lengths', `POST /api/x HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n${body}`],
    [400, 'an unknown method', `FETCH /api/x HTTP/1.1\r\nHost: a\r\n\r\n${body}`],
    [400, 'a chunk that is none', `${chunkedPost('/api/x')}nonsense\r\n${body}`],
  ])('gets the %i for %s, 20 of 20 times', async (status, _, bytes) => {
    const statuses: number[] = [];
    for (const _ of times) {
      statuses.push(...(await writeThenRead(gateway, bytes)).map((answer) => answer.status));
    }
    expect(statuses).toEqual(times.map(() => status));
  });
});
