// When the gateway and a service read the same bytes in two ways, a client can hide a second request in the
// first. So a request that is not proper HTTP gets 400, and its connection is closed when its end is
// uncertain. Requests on one connection are answered in their order, and no request is executed without an
// answer.

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { type Answer, answersIn, connect, expectProblem, send, sendRaw, until } from '../harness/client.ts';
import { countCalls } from '../harness/upstream.ts';
import { start } from './own-gateway.ts';
import { chunkedPost, get, lastChunk, put } from './requests.ts';
import { executed, gateway, linesOf, onlySeen, passBarrier, serve, service } from './services.ts';

describe('a request that is not proper HTTP', () => {
  const host = 'Host: a\r\n';
  const cases: Array<[name: string, bytes: string]> = [
    ['two Host fields', 'GET /api/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
    ['the same Host twice', 'GET /api/x HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n'],
    ['no Host', 'GET /api/x HTTP/1.1\r\nX-Other: a\r\n\r\n'],
    ['a Host with a slash', 'GET /api/x HTTP/1.1\r\nHost: a/b\r\n\r\n'],
    ['a Host with a space', 'GET /api/x HTTP/1.1\r\nHost: a b\r\n\r\n'],
    ['a Host with a user', 'GET /api/x HTTP/1.1\r\nHost: user@a\r\n\r\n'],
    [
      'Content-Length and Transfer-Encoding',
      `POST /api/x HTTP/1.1\r\n${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding and Content-Length',
      `POST /api/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
    ],
    [
      'two different lengths',
      `POST /api/x HTTP/1.1\r\n${host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`,
    ],
    ['two lengths in one field', `POST /api/x HTTP/1.1\r\n${host}Content-Length: 5, 6\r\n\r\nhello!`],
    ['a length that is none', `POST /api/x HTTP/1.1\r\n${host}Content-Length: five\r\n\r\nhello`],
    ['a negative length', `POST /api/x HTTP/1.1\r\n${host}Content-Length: -5\r\n\r\nhello`],
    ['an unknown Transfer-Encoding', `POST /api/x HTTP/1.1\r\n${host}Transfer-Encoding: gzip\r\n\r\nhello`],
    [
      'chunked that is not the last encoding',
      `POST /api/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`,
    ],
    [
      'compression below the chunks',
      `POST /api/x HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    ],
    [
      'an unknown encoding below the chunks',
      `POST /api/x HTTP/1.1\r\n${host}Transfer-Encoding: xyz\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    ],
    ['a space before a colon', `GET /api/x HTTP/1.1\r\n${host}X-A : b\r\n\r\n`],
    ['a header line without a colon', `GET /api/x HTTP/1.1\r\n${host}nonsense\r\n\r\n`],
    ['an unknown method', `FETCH /api/x HTTP/1.1\r\n${host}\r\n`],
    ['a space in the target', `GET /api/x y HTTP/1.1\r\n${host}\r\n`],
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n\r\n'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ];

  test.each(cases)('because of %s gets 400, and no service sees it', async (_, bytes) => {
    const expectCalls = countCalls({ service });
    const { text } = await sendRaw(gateway, bytes, { until: (received) => answersIn(received).length > 0 });
    expectCalls(0);
    const answers = answersIn(text);
    expect(answers).toHaveLength(1);
    for (const answer of answers) expectProblem(answer, 400, 'bad-request');
  });

  test.each([
    ['no version', 'GET /api/x\r\n'],
    ['HTTP/0.9', 'GET /api/x HTTP/0.9\r\n'],
    ['HTTP/2.0', 'GET /api/x HTTP/2.0\r\n'],
  ])('because of %s gets 400 or loses the connection, and no service sees it', async (_, line) => {
    const expectCalls = countCalls({ service });
    const { text } = await sendRaw(gateway, `${line}${host}\r\n`, {
      until: (received) => answersIn(received).length > 0,
    });
    expectCalls(0);
    for (const answer of answersIn(text)) expectProblem(answer, 400, 'bad-request');
  });

  test('because of HTTP/1.0 with Transfer-Encoding gets 400 and loses the connection', async () => {
    const expectCalls = countCalls({ service });
    const { text, closed } = await sendRaw(
      gateway,
      `POST /api/x HTTP/1.0\r\n${host}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n` +
        `5\r\nhello\r\n0\r\n\r\nGET /api/smuggled HTTP/1.1\r\n${host}\r\n`,
    );
    expectCalls(0);
    expect(closed).toBe(true);
    const [answer, ...more] = answersIn(text);
    expectProblem(answer as Answer, 400, 'bad-request');
    expect([answer?.headers.connection, more]).toEqual(['close', []]);
  });

  test.each([
    [400, `FETCH /api/x HTTP/1.1\r\n${host}\r\n`],
    [431, `GET /api/x HTTP/1.1\r\n${host}X-Big: ${'a'.repeat(17_000)}\r\n\r\n`],
  ])('gets a %i with the Date, even from the parser', async (status, bytes) => {
    const { text } = await sendRaw(gateway, bytes);
    const [answer] = answersIn(text);
    const date = answer?.headers.date as string;
    expect([answer?.status, date]).toEqual([status, new Date(date).toUTCString()]);
    expect(Math.abs(Date.parse(date) - Date.now())).toBeLessThan(60_000);
  });

  test('because its framing is broken loses the connection, so that nothing can be smuggled', async () => {
    const { text, closed } = await sendRaw(
      gateway,
      `POST /api/x HTTP/1.1\r\n${host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n` +
        `0\r\n\r\nGET /api/smuggled HTTP/1.1\r\n${host}\r\n`,
    );
    expect(closed).toBe(true);
    expect(text.toLowerCase()).toContain('connection: close');
    expect(service.seen).toEqual([]);
  });

  test('in the middle of its body never looks complete to the service', async () => {
    const { closed } = await sendRaw(
      gateway,
      `POST /api/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n`,
    );
    expect(closed).toBe(true);
    expect(service.seen).toEqual([]);
    expect((await send(gateway, '/api/x')).status).toBe(200);
  });
});

describe('an empty Transfer-Encoding', () => {
  test.each([
    ['without a length', ''],
    ['with a length', 'Content-Length: 5\r\n'],
    ['with a space as its value', 'Content-Length: 5\r\n', ' '],
  ])('%s gets 400 and loses the connection', async (_, length, value = '') => {
    const expectCalls = countCalls({ service });
    const { text, closed } = await sendRaw(
      gateway,
      `POST /api/x HTTP/1.1\r\nHost: a\r\n${length}Transfer-Encoding:${value}\r\n\r\nhello${get('/api/smuggled')}`,
    );
    expectCalls(0);
    expect(closed).toBe(true);
    const [answer, ...more] = answersIn(text);
    expectProblem(answer as Answer, 400, 'bad-request');
    expect([answer?.headers.connection, more]).toEqual(['close', []]);
  });
});

describe('a field behind 1,200 others', () => {
  // 6 KB: far below the limit of 16 KiB, but more than the 1,000 fields that some servers read.
  const many = `Host: a\r\n${'a:b\r\n'.repeat(1_200)}`;
  const ask = async (bytes: string) => {
    const { text } = await sendRaw(gateway, bytes, { until: (received) => answersIn(received).length > 0 });
    return answersIn(text)[0] as Answer;
  };

  test.each([
    ['Content-Length', 'Content-Length: 5\r\n\r\nhello'],
    ['Transfer-Encoding', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
  ])('counts: the body of a %s arrives', async (_, rest) => {
    expect((await ask(`POST /api/x HTTP/1.1\r\n${many}${rest}`)).status).toBe(200);
    expect(onlySeen().body.toString()).toBe('hello');
  });

  test('counts: a second Host is refused', async () => {
    expectProblem(await ask(`GET /api/x HTTP/1.1\r\n${many}Host: b\r\n\r\n`), 400, 'bad-request');
    expect(service.seen).toEqual([]);
  });

  test('counts: what it claims is dropped', async () => {
    expect((await ask(`GET /api/x HTTP/1.1\r\n${many}X-Real-IP: 6.6.6.6\r\n\r\n`)).status).toBe(200);
    expect(onlySeen().headers).not.toHaveProperty('x-real-ip');
  });

  test('is none that tells where the client is: those come first', async () => {
    expect((await ask(`GET /api/x HTTP/1.1\r\n${many}\r\n`)).status).toBe(200);
    // Two strings per field: this is what a service sees that reads 1,000 fields.
    const { rawHeaders } = onlySeen();
    expect(rawHeaders.length).toBeGreaterThan(2_400);
    const read = rawHeaders.slice(0, 2_000).map((text) => text.toLowerCase());
    const valueBehind = (name: string) => read[read.indexOf(name) + 1];
    expect(valueBehind('x-forwarded-for')).toBe('127.0.0.1');
    expect(valueBehind('x-forwarded-proto')).toBe('http');
    expect(valueBehind('x-forwarded-host')).toBe('a');
    expect(valueBehind('x-forwarded-prefix')).toBe('/api');
  });
});

describe('one connection', () => {
  test('gets the answers to pipelined requests in order, the slow one first', async () => {
    let release = () => {};
    serve((request, response) => {
      if (request.url === '/1') release = () => response.end('/1');
      else response.end(request.url);
    });
    const client = await connect(gateway);
    for (const n of [1, 2, 3, 4]) client.socket.write(`GET /api/${n} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until(() => service.seen.some((seen) => seen.target === '/1'), 'the slow request has arrived');
    release();
    await until(() => answersIn(client.received()).length === 4, 'four answers');
    client.socket.destroy();
    expect(answersIn(client.received()).map((answer) => answer.text)).toEqual(['/1', '/2', '/3', '/4']);
  });

  test('of HTTP/1.0 gets an answer that is not chunked, and is closed', async () => {
    serve((_, response) => {
      response.write('first ');
      response.end('second');
    });
    const { text, closed } = await sendRaw(gateway, 'GET /api/x HTTP/1.0\r\nHost: a\r\n\r\n');
    expect(closed).toBe(true);
    expect(text.toLowerCase()).not.toContain('transfer-encoding');
    expect(answersIn(text).map((answer) => [answer.status, answer.text])).toEqual([[200, 'first second']]);
  });
});

describe.concurrent('pipelined requests', () => {
  test('reach the service one after the other, each after the answer to the one before', async () => {
    const events: string[] = [];
    let release = () => {};
    const { gateway, service } = await start((request, response) => {
      const { method, url } = request;
      if (method !== 'PUT') return void response.end('ok');
      events.push(`${url} begins`);
      const answer = () => {
        events.push(`${url} is answered`);
        response.end(url);
      };
      request.on('end', () => {
        if (url === '/slow') release = answer;
        else answer();
      });
    });
    const client = await connect(gateway);
    client.socket.write(put('/api/slow') + put('/api/fast'));
    await until(() => service.seen.length > 0, 'the first request has arrived');
    // The gateway has had time for the second request when it has served three others.
    for (let i = 0; i < 3; i++) expect((await send(gateway, '/api/other')).text).toBe('ok');
    expect(events).toEqual(['/slow begins']);
    release();
    await until(() => answersIn(client.received()).length === 2, 'two answers');
    client.socket.destroy();
    expect(answersIn(client.received()).map(({ text }) => text)).toEqual(['/slow', '/fast']);
    expect(events).toEqual(['/slow begins', '/slow is answered', '/fast begins', '/fast is answered']);
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
      serve((request, response) => void request.on('end', () => (held = response)));
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
    serve((request, response) => void request.on('end', () => response.end(request.url)));
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
    serve((_request, response) => {
      response.once('close', () => {
        cancelled = !response.writableFinished;
      });
    });
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
