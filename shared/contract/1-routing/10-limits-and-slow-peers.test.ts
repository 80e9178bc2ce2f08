// A client or service that sends too much, reads too little or takes its time must not cost the gateway its
// memory, nor other clients their turn. The gateway reads no faster than the other side takes, and limits
// header fields, chunks and idle connections. The response to a refused upload reaches the client even while
// it is still sending.

import http, { type RequestListener, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import {
  type Answer,
  answersIn,
  connect,
  expectProblem,
  send,
  sendRaw,
  settled,
  until,
  writeThenRead,
} from '../harness/client.ts';
import { countCalls } from '../harness/upstream.ts';
import { start } from './own-gateway.ts';
import { atOnceMs, chunkedPost, get, inChunks, lastChunk } from './requests.ts';
import {
  expectEnd,
  expectInOrder,
  expectNext,
  gateway,
  linesOf,
  mebibyte,
  raw,
  serve,
  serveRaw,
  service,
} from './services.ts';

/** Repeats the chunk until it has yielded `total` bytes. Passes the length of each chunk to `taken`. */
function* repeat(chunk: Buffer, total: number, taken = (_bytes: number) => {}): Generator<Buffer> {
  for (let sent = 0; sent < total; sent += chunk.length) {
    taken(chunk.length);
    yield chunk;
  }
}

/** Sends GET and returns the answer with its body unread. */
function open(target: string): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    http
      .get({ host: gateway.host, port: gateway.port, path: target, agent: false }, resolve)
      .on('error', reject);
  });
}

/** Reads the body and returns its length. Rejects when the body is cut short. */
async function readToEnd(answer: http.IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const chunk of answer) bytes += (chunk as Buffer).length;
  return bytes;
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

// Each of these tests starts its own gateway process, several at the same time.
vi.setConfig({ testTimeout: 60_000 });

describe('a request that is not proper HTTP', () => {
  const host = 'Host: a\r\n';

  test.each([
    ['one field over 16 KiB', `X-Big: ${'a'.repeat(17_000)}\r\n`],
    [
      'many fields over 16 KiB',
      Array.from({ length: 400 }, (_, i) => `X-${i}: ${'a'.repeat(50)}\r\n`).join(''),
    ],
  ])('because of %s gets 431, and no service sees it', async (_, fields) => {
    const expectCalls = countCalls({ service });
    const { text } = await sendRaw(gateway, `GET /api/x HTTP/1.1\r\n${host}${fields}\r\n`, {
      until: (received) => answersIn(received).length > 0,
    });
    expectCalls(0);
    const answers = answersIn(text);
    expect(answers).toHaveLength(1);
    for (const answer of answers) expectProblem(answer, 431, 'headers-too-large');
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

describe('a request body', () => {
  test('waits when the service does not read it', async () => {
    const total = 192 * mebibyte; // more than twice what two connections on Linux can buffer
    let resume = () => {};
    let received = 0;
    serve((request, response) => {
      request.pause();
      resume = () => request.resume();
      request.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      request.on('end', () => response.end('ok'));
    });
    let taken = 0;
    const count = (bytes: number) => {
      taken += bytes;
    };
    const body = Readable.from(repeat(Buffer.alloc(65_536, 'a'), total, count));
    const answer = send(gateway, '/api/x', { method: 'POST', headers: { 'content-length': total }, body });
    await until(() => taken > 0 && service.begun() > 0, 'the upload has begun');
    expect(await settled(() => taken)).toBeLessThan(total / 2);
    resume();
    expect((await answer).status).toBe(200);
    expect(received).toBe(total);
  });
});

describe('an answer', () => {
  test('waits when the client does not read it', async () => {
    const total = 192 * mebibyte; // more than twice what two connections on Linux can buffer
    let written = 0;
    serve((_, response) => {
      response.writeHead(200, { 'content-length': total });
      const count = (bytes: number) => {
        written += bytes;
      };
      Readable.from(repeat(Buffer.alloc(65_536, 'a'), total, count)).pipe(response);
    });
    const answer = await open('/api/x');
    await until(() => written > 0, 'the answer has begun');
    expect(await settled(() => written)).toBeLessThan(total / 2);
    expect(await readToEnd(answer)).toBe(total);
  });

  describe('of a connection that ends before the client reads', () => {
    // How many bytes the connections buffer for a client that does not read depends on the system. One of these
    // lengths is just above that: the gateway has read the whole body when the service closes, but cannot write it all.
    const lengths = Array.from({ length: 128 }, (_, i) => i * 48 * 1024);

    /** Requests an answer of every length with these header lines. Returns the answers, whose bodies are unread. */
    async function openAll(lines: (length: number) => string, end: (socket: Socket) => void) {
      let written = 0;
      serveRaw((socket, head) => {
        const length = Number(/^GET \/(\d+)/.exec(head)?.[1]);
        socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\n${lines(length)}\r\n`);
        socket.write(Buffer.alloc(length), () => {
          written += length;
        });
        end(socket);
      });
      const answers = await Promise.all(lengths.map((length) => open(`/raw/${length}`)));
      await settled(() => written);
      return answers;
    }

    test.each([
      ['and has a length', (length: number) => `Content-Length: ${length}\r\n`],
      ['and has no length', () => ''],
    ])('%s arrives complete', async (_, lines) => {
      const answers = await openAll(lines, (socket) => socket.end());
      expect(await Promise.all(answers.map(readToEnd))).toEqual(lengths);
    });

    // Some systems do not report a reset while earlier bytes are unread, so the answers may be complete or cut.
    test('by a reset affects no other client', async () => {
      const sockets: Socket[] = [];
      const answers = await openAll(
        () => '',
        (socket) => sockets.push(socket),
      );
      for (const socket of sockets) socket.resetAndDestroy();
      await Promise.all(answers.map((answer) => readToEnd(answer).catch(() => 'cut')));
      serve((_, response) => response.end('ok'));
      expect((await send(gateway, '/api/x')).text).toBe('ok');
    });
  });
});

// Moving 400 MB can take long on a busy machine.
describe('memory', { timeout: 60_000 }, () => {
  const total = 192 * mebibyte;
  const pattern = 'abcdefgh';
  const chunk = Buffer.alloc(mebibyte, pattern);

  /** Counts bytes that continue the pattern; stops counting at the first that does not. */
  function counter() {
    let bytes = 0;
    return {
      count: () => bytes,
      take(data: Buffer) {
        const from = bytes % pattern.length;
        if (chunk.subarray(from, from + data.length).equals(data)) bytes += data.length;
      },
    };
  }

  /** The largest growth of the gateway's resident memory during `work`, in bytes. */
  async function growth(work: () => Promise<void>): Promise<number> {
    const before = await gateway.rssBytes();
    let peak = before;
    let done = false;
    const measured = (async () => {
      while (!done) {
        peak = Math.max(peak, await gateway.rssBytes());
        await sleep(20);
      }
    })();
    try {
      await work();
    } finally {
      done = true;
      await measured;
    }
    return peak - before;
  }

  test('grows by less than 100 MiB when 192 MiB go up', async () => {
    const received = counter();
    serve((request, response) => {
      request.on('data', (data: Buffer) => received.take(data));
      request.on('end', () => response.end('ok'));
    });
    const grown = await growth(async () => {
      const body = Readable.from(repeat(chunk, total));
      const answer = await send(gateway, '/api/x', {
        method: 'POST',
        headers: { 'content-length': total },
        body,
        timeoutMs: 50_000,
      });
      expect(answer.status).toBe(200);
    });
    expect(received.count()).toBe(total);
    expect(grown).toBeLessThan(100 * mebibyte);
  });

  test('grows by less than 100 MiB when 192 MiB come down', async () => {
    const received = counter();
    serve((_, response) => void Readable.from(repeat(chunk, total)).pipe(response));
    const grown = await growth(async () => {
      const answer = await open('/api/x');
      for await (const data of answer) received.take(data as Buffer);
    });
    expect(received.count()).toBe(total);
    expect(grown).toBeLessThan(100 * mebibyte);
  });
});

describe('a service that takes too long', () => {
  test('gets 504 when it never reads the body, and then the client’s connection is closed', async () => {
    serve((request) => void request.pause());
    const size = 32 * mebibyte;
    const client = await connect(gateway);
    client.socket.write(`POST /hasty/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    client.socket.write(Buffer.alloc(size));
    await until(() => answersIn(client.received()).length === 1, 'an answer');
    for (const answer of answersIn(client.received())) expectProblem(answer, 504, 'upstream-timeout');
    await expectEnd(client, 504);
  });

  test('is not blamed while it reads a long upload at its own pace', async () => {
    serve((request, response) => {
      const inHurryAt = performance.now() + 3_000;
      request.on('data', () => {
        if (performance.now() > inHurryAt) return;
        request.pause();
        setTimeout(() => request.resume(), 4);
      });
      request.on('end', () => response.end('ok'));
    });
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
    serve((request, response) => {
      request.on('end', () => setTimeout(() => response.end('ok'), 500));
    });
    const headers = { 'content-length': 25 };
    const answer = await send(gateway, '/patient/x', { method: 'POST', headers, body: slowly(5, 150) });
    expect(answer.status).toBe(200);
  });

  test('is not blamed while the client stalls for longer than timeoutMs', async () => {
    const answer = await send(gateway, '/patient/x', { method: 'POST', body: slowly(1, 1_200) });
    expect([answer.status, answer.text]).toEqual([200, 'ok']);
  });

  test('still has its whole time after a slow upload', async () => {
    serve((request, response) => {
      request.on('end', () => setTimeout(() => response.end('ok'), 300));
    });
    const body = slowly(5, 200);
    expect((await send(gateway, '/patient/x', { method: 'POST', body })).status).toBe(200);
  });

  test('gets 504 after a slow upload that it does not answer', async () => {
    serve(() => {});
    const body = slowly(5, 80);
    const answer = await send(gateway, '/hasty/x', { method: 'POST', body });
    expectProblem(answer, 504, 'upstream-timeout');
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
    serve(handler);
    const client = await connect(gateway);
    client.socket.write(start('/api/x'));
    await until(() => answersIn(client.received()).length === 1, 'the answer comes before the upload ends');
    expect(answersIn(client.received())[0]?.text).toBe('too much');
    client.socket.write(rest);
    await expectEnd(client, 413);
  });

  test('is heard by a client that sends everything first, and its connection stays in order or is closed as announced', async () => {
    serve((_, response) => void response.writeHead(413).end('too much'));
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
    serveRaw((socket) => void end(socket));
    const expectCalls = countCalls({ raw });
    const client = await connect(gateway);
    client.socket.write(start('/raw/x'));
    await until(() => answersIn(client.received()).length === 1, 'the answer');
    for (const answer of answersIn(client.received())) expectProblem(answer, 502, 'upstream-reset');
    expectCalls(1);
    client.socket.write(rest);
    await expectEnd(client, 502);
  });

  test('is heard to the end of a long answer', async () => {
    const text = 'too much '.repeat(200_000);
    serve((_, response) => void response.writeHead(413).end(text));
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
      serve((request, response) => {
        open++;
        response.once('close', () => open--);
        request.on('end', () => complete++);
      });
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
    serve((request, response) => void request.on('end', () => response.end(request.url)));
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

describe.concurrent('an idle connection of a client', () => {
  test('is closed after KEEP_ALIVE_TIMEOUT_MS', async () => {
    const { gateway } = await start(undefined, { KEEP_ALIVE_TIMEOUT_MS: '1000' });
    const client = await connect(gateway);
    client.socket.write(get('/api/x'));
    await until(() => answersIn(client.received()).length === 1, 'an answer');
    const idleSince = performance.now();
    await until(() => client.closed(), 'the connection is closed', 20_000);
    expect(performance.now() - idleSince).toBeGreaterThan(900);
    await gateway.stop();
  });

  test('stays open for as long as KEEP_ALIVE_TIMEOUT_MS says', async () => {
    const { gateway } = await start(undefined, { KEEP_ALIVE_TIMEOUT_MS: '8000' });
    const client = await connect(gateway);
    client.socket.write(get('/api/x'));
    await until(() => answersIn(client.received()).length === 1, 'an answer');
    const idleSince = performance.now();
    await until(() => client.closed(), 'the connection is closed', 20_000);
    expect(performance.now() - idleSince).toBeGreaterThan(7_900);
    await gateway.stop();
  });
});

describe.concurrent('pipelined requests', () => {
  test('of one connection, 1,000 of them, take one call at a time, and do not hold up other clients', async () => {
    let open = 0;
    let mostOpen = 0;
    let released = false;
    const held: ServerResponse[] = [];
    const { gateway } = await start((request, response) => {
      if (request.url === '/other') return void response.end('ok');
      open++;
      mostOpen = Math.max(mostOpen, open);
      response.once('close', () => open--);
      if (released) response.end(request.url);
      else held.push(response);
    });
    const targets = Array.from({ length: 1_000 }, (_, i) => `/${i}`);
    const client = await connect(gateway);
    client.socket.write(targets.map((target) => get(`/api${target}`)).join(''));
    await until(() => held.length > 0, 'the first request has arrived');
    for (let i = 0; i < 10; i++) {
      expect((await send(gateway, '/api/other', { timeoutMs: atOnceMs })).text).toBe('ok');
    }
    expect(held).toHaveLength(1);
    released = true;
    held[0]?.end('/0');
    const last = `\r\n\r\n${targets.at(-1)}`;
    await until(() => client.received().includes(last), 'the last answer', 30_000);
    client.socket.destroy();
    expect(answersIn(client.received()).map(({ text }) => text)).toEqual(targets);
    expect(mostOpen).toBe(1);
  });

  test('are not read without end while they wait', async () => {
    const { gateway, service } = await start((request, response) => {
      if (request.url === '/other') response.end('ok');
    });
    const padded = `GET /api/x HTTP/1.1\r\nHost: a\r\nX-Padding: ${'x'.repeat(8_000)}\r\n\r\n`.repeat(8);
    const parts = 600; // 38 MB, more than the buffers of the system hold
    let taken = 0;
    const client = await connect(gateway);
    const write = () => {
      client.socket.write(padded, () => {
        if (++taken < parts) write();
      });
    };
    write();
    await until(() => service.begun() > 0, 'the first request has arrived');
    // While the gateway serves 20 other requests, it has time to read from this connection, too.
    let before = 0;
    for (let still = 0; still < 20 && taken < parts; still++) {
      if (taken > before) still = 0;
      before = taken;
      expect((await send(gateway, '/api/other')).text).toBe('ok');
    }
    client.socket.destroy();
    expect(taken).toBeLessThan(parts);
  });
});
