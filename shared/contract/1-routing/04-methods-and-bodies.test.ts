// Every method and every body passes, whatever its type, length or coding. Long bodies are streamed in both
// directions: neither side waits for the other to finish. 100 Continue and other interim responses are a part
// of the exchange, and pass as well.

import { randomBytes } from 'node:crypto';
import type http from 'node:http';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { answersIn, connect, expectProblem, send, sendRaw, until } from '../harness/client.ts';
import { countCalls, type Seen } from '../harness/upstream.ts';
import { gateway, mebibyte, onlySeen, serve, serveRaw, service } from './services.ts';
import { orders, shop, watchServices } from './shop.ts';

describe('a method', () => {
  test.each([
    'GET',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'PROPFIND',
    'QUERY',
    'MKCOL',
    'REPORT',
    'PURGE',
    'M-SEARCH',
  ])('%s reaches the service', async (method) => {
    const answer = await send(gateway, '/api/x', { method });
    expect([answer.status, answer.text]).toEqual([200, 'ok']);
    expect(onlySeen().method).toBe(method);
  });

  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY', 'GET'])(
    '%s may have a body',
    async (method) => {
      await send(gateway, '/api/x', {
        method,
        headers: { 'content-type': 'application/json' },
        body: '{"a":1}',
      });
      const { headers, body } = onlySeen();
      expect([body.toString(), headers['content-type']]).toEqual(['{"a":1}', 'application/json']);
    },
  );

  test('OPTIONS gets the service’s own answer', async () => {
    serve((_, response) => response.writeHead(204, { allow: 'GET, OPTIONS' }).end());
    const answer = await send(gateway, '/api/x', {
      method: 'OPTIONS',
      headers: { origin: 'https://a.example', 'access-control-request-method': 'POST' },
    });
    expect([answer.status, answer.headers.allow]).toEqual([204, 'GET, OPTIONS']);
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
  });

  test('HEAD arrives as HEAD, keeps Content-Length, and leaves the connection in order', async () => {
    serve((request, response) => {
      response.writeHead(200, { 'content-length': '12345', etag: '"x"' });
      response.end(request.method === 'HEAD' ? undefined : 'a'.repeat(12_345));
    });
    const client = await connect(gateway);
    client.socket.write('HEAD /api/x HTTP/1.1\r\nHost: a\r\n\r\nGET /api/x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.received().endsWith('a'.repeat(12_345)), 'both answers');
    client.socket.destroy();
    const [head = '', ...rest] = client.received().split('\r\n\r\n');
    expect(head.toLowerCase()).toContain('content-length: 12345');
    expect(rest[0]).toMatch(/^HTTP\/1\.1 200 /);
    expect(service.seen.map((seen) => seen.method)).toEqual(['HEAD', 'GET']);
  });
});

describe('a method', () => {
  test('TRACE is not proxied', async () => {
    const expectNoCall = watchServices();
    const answer = await send(shop, '/api/orders/x', { method: 'TRACE' });
    expectNoCall();
    expectProblem(answer, 404, 'no-route');
  });

  test('CONNECT is not proxied', async () => {
    const expectNoCall = watchServices();
    const { text, closed } = await sendRaw(
      shop,
      `CONNECT 127.0.0.1:${orders.port} HTTP/1.1\r\nHost: 127.0.0.1:${orders.port}\r\n\r\n`,
    );
    expectNoCall();
    expect(closed).toBe(true);
    expect(text).not.toMatch(/^HTTP\/1\.1 2/);
  });
});

describe('a request body', () => {
  const bytes = Buffer.from('caf\xe9 \xff\xfe\x00 {"broken": json', 'latin1');

  test.each([
    'application/json',
    'text/plain',
    'text/plain; charset=iso-8859-1',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/octet-stream',
    'application/xml',
    'garbage',
    'a/b, c/d',
    '/',
    '',
  ])('of type "%s" arrives byte for byte, the type too', async (type) => {
    const answer = await send(gateway, '/api/x', {
      method: 'POST',
      headers: { 'content-type': type },
      body: bytes,
    });
    expect(answer.status).toBe(200);
    const { headers, body } = onlySeen();
    expect(headers['content-type'] ?? '').toBe(type);
    expect(body.equals(bytes)).toBe(true);
  });

  test('without a type arrives', async () => {
    await send(gateway, '/api/x', { method: 'POST', body: bytes });
    const { headers, body } = onlySeen();
    expect(headers).not.toHaveProperty('content-type');
    expect(body.equals(bytes)).toBe(true);
  });

  test.each(['text/plain', 'application/json', 'application/octet-stream'])(
    'of 3 MiB and type %s arrives complete',
    async (type) => {
      const big = randomBytes(3 * mebibyte);
      const answer = await send(gateway, '/api/x', {
        method: 'POST',
        headers: { 'content-type': type },
        body: big,
      });
      expect(answer.status).toBe(200);
      const { headers, body } = onlySeen();
      expect(body.equals(big)).toBe(true);
      expect(headers['content-length']).toBe(String(big.length));
    },
  );

  test('that is compressed stays compressed', async () => {
    const zipped = gzipSync('hello');
    await send(gateway, '/api/x', { method: 'POST', headers: { 'content-encoding': 'gzip' }, body: zipped });
    const { headers, body } = onlySeen();
    expect(headers['content-encoding']).toBe('gzip');
    expect(body.equals(zipped)).toBe(true);
  });

  test('of length 0 keeps its length', async () => {
    await send(gateway, '/api/x', { method: 'POST', body: '' });
    const { headers, body } = onlySeen();
    expect([headers['content-length'], body.length]).toEqual(['0', 0]);
  });

  test.each(['POST', 'DELETE', 'GET'])('of unknown length arrives complete: %s', async (method) => {
    const chunks = ['one ', 'two ', 'three'];
    await send(gateway, '/api/x', { method, body: Readable.from(chunks) });
    expect(onlySeen().body.toString()).toBe('one two three');
  });

  test('of unknown length and no bytes arrives as none', async () => {
    const answer = await send(gateway, '/api/x', { method: 'POST', body: Readable.from([]) });
    expect(answer.status).toBe(200);
    expect(onlySeen().body).toHaveLength(0);
  });

  test('followed by trailers arrives without them', async () => {
    const client = await connect(gateway);
    client.socket.write(
      'POST /api/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n' +
        '5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n',
    );
    await until(() => client.closed(), 'the answer is complete');
    expect(answersIn(client.received())[0]?.status).toBe(200);
    expect(onlySeen().body.toString()).toBe('hello');
    expect(onlySeen().headers).not.toHaveProperty('x-sum');
  });

  const half = 'x'.repeat(8_192);
  const inChunks = (part: string) => `${part.length.toString(16)}\r\n${part}\r\n`;
  test.each([
    ['longer than 16 KiB', 'Content-Length: 16385', half, `${half}x`, 16_385],
    ['in chunks', 'Transfer-Encoding: chunked', inChunks('first'), `${inChunks('after')}0\r\n\r\n`, 10],
  ])('begins to arrive before the client has finished it: %s', async (_, field, first, rest, length) => {
    let received = 0;
    serve((request, response) => {
      request.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      request.on('end', () => response.end('ok'));
    });
    const client = await connect(gateway);
    client.socket.write(`POST /api/x HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n${first}`);
    await until(() => received > 0, 'the service sees the first half');
    client.socket.write(rest);
    await until(() => answersIn(client.received()).length === 1, 'the answer');
    client.socket.destroy();
    expect(received).toBe(length);
  });

  test.each([2, 16_384])('of %i bytes is read whole before the service is called', async (length) => {
    const body = randomBytes(length);
    const expectCalls = countCalls({ service });
    const client = await connect(gateway);
    client.socket.write(`POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`);
    client.socket.write(body.subarray(0, -1));
    // The gateway has had time to call the service when it has called another one three times.
    serveRaw('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    for (let i = 0; i < 3; i++) await send(gateway, '/raw/other');
    expectCalls(0, ' before the last byte of the body had come');
    client.socket.write(body.subarray(-1));
    await until(() => answersIn(client.received()).length === 1, 'the answer');
    client.socket.destroy();
    expect(answersIn(client.received())[0]?.status).toBe(200);
    const { headers, body: arrived } = service.seen.at(-1) as Seen;
    expect(headers['content-length']).toBe(String(length));
    expect(arrived.equals(body)).toBe(true);
  });
});

describe('an answer', () => {
  test('204 has no body and no length', async () => {
    serve((_, response) => response.writeHead(204).end());
    const answer = await send(gateway, '/api/x', { method: 'DELETE' });
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(answer.headers).not.toHaveProperty('content-length');
    expect(answer.headers).not.toHaveProperty('transfer-encoding');
  });

  test('204 loses a Content-Length of the service, and the connection stays in order', async () => {
    serveRaw((socket) => socket.write('HTTP/1.1 204 No Content\r\nETag: "x"\r\nContent-Length: 5\r\n\r\n'));
    const client = await connect(gateway);
    for (const count of [1, 2, 3]) {
      client.socket.write('GET /raw/x HTTP/1.1\r\nHost: a\r\n\r\n');
      await until(() => answersIn(client.received()).length === count, `answer ${count}`);
    }
    client.socket.destroy();
    const answers = answersIn(client.received());
    expect(answers.map(({ status, headers }) => [status, headers.etag])).toEqual(Array(3).fill([204, '"x"']));
    for (const { headers } of answers) expect(headers).not.toHaveProperty('content-length');
  });

  test.each([
    ['without Content-Length', ''],
    ['with Content-Length', 'Content-Length: 1234\r\n'],
  ])('304 %s passes, and the connection stays in order', async (_, line) => {
    serveRaw((socket) => socket.write(`HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n${line}\r\n`));
    const get = 'GET /raw/x HTTP/1.1\r\nHost: a\r\nIf-None-Match: "x"\r\n\r\n';
    const client = await connect(gateway);
    for (const count of [1, 2, 3]) {
      client.socket.write(get);
      await until(() => answersIn(client.received()).length === count, `answer ${count}`);
    }
    client.socket.destroy();
    const answers = answersIn(client.received());
    expect(answers.map(({ status, headers }) => [status, headers.etag])).toEqual(Array(3).fill([304, '"x"']));
  });

  test.each([
    [301, '/elsewhere'],
    [302, '//cdn.example/x'],
    [303, 'HTTP://OTHER.example/x?u=/api'],
    [307, '../up'],
    [308, '/api/x'],
  ])('that redirects (%i) keeps its Location and is not followed: %s', async (status, location) => {
    serve((_, response) => response.writeHead(status, { location }).end());
    const answer = await send(gateway, '/api/x');
    expect([answer.status, answer.headers.location]).toEqual([status, location]);
    expect(service.seen).toHaveLength(1);
  });

  test('that redirects to the service itself keeps its Location', async () => {
    serve((_, response) => response.writeHead(302, { location: `${service.url}/y` }).end());
    expect((await send(gateway, '/api/x')).headers.location).toBe(`${service.url}/y`);
  });

  test('that is compressed stays compressed, with its length', async () => {
    const zipped = gzipSync('hello'.repeat(1000));
    serve((_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': zipped.length }).end(zipped),
    );
    const answer = await send(gateway, '/api/x', { headers: { 'accept-encoding': 'gzip' } });
    expect(answer.headers).toMatchObject({
      'content-encoding': 'gzip',
      'content-length': String(zipped.length),
    });
    expect(answer.body.equals(zipped)).toBe(true);
  });

  test('of a part keeps Content-Range', async () => {
    serve((_, response) => response.writeHead(206, { 'content-range': 'bytes 0-1/9' }).end('ab'));
    const answer = await send(gateway, '/api/x', { headers: { range: 'bytes=0-1' } });
    expect([answer.status, answer.headers['content-range']]).toEqual([206, 'bytes 0-1/9']);
  });

  test('of no length but the end of the connection arrives complete', async () => {
    serveRaw((socket) => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end'));
    expect((await send(gateway, '/raw/x')).text).toBe('until the end');
  });

  describe('that is interim', () => {
    const early =
      'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>\r\nX-Own: caf\xe9\r\n';
    const final = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
    const ask = async (version: string, answer: string) => {
      serveRaw((socket) => socket.write(Buffer.from(answer, 'latin1')));
      const request = `GET /raw/x HTTP/${version}\r\nHost: a\r\nConnection: close\r\n\r\n`;
      return (await sendRaw(gateway, request)).text;
    };

    test.each([102, 103, 104, 199])('passes with its fields, before the final one: %i', async (status) => {
      const answers = answersIn(await ask('1.1', `${early.replace('103', String(status))}\r\n${final}`));
      expect(answers.map((answer) => answer.status)).toEqual([status, 200]);
      const [interim] = answers;
      const links = interim?.rawHeaders.filter(
        (_, i, all) => all[i - 1]?.toLowerCase() === 'link' && i % 2 === 1,
      );
      expect(links).toEqual(['</a.css>; rel=preload', '</b.js>']);
      expect(interim?.headers['x-own']).toBe('caf\xe9');
      expect(answers[1]?.text).toBe('ok');
    });

    test('passes at once, and several pass in their order', async () => {
      let finish = () => {};
      serveRaw((socket) => {
        socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n');
        socket.write('HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n');
        finish = () => void socket.write(final);
      });
      const client = await connect(gateway);
      client.socket.write('GET /raw/x HTTP/1.1\r\nHost: a\r\n\r\n');
      await until(() => answersIn(client.received()).length === 3, 'three interim answers');
      finish();
      await until(() => answersIn(client.received()).length === 4, 'the final answer');
      client.socket.destroy();
      const answers = answersIn(client.received());
      expect(answers.map(({ status, headers }) => [status, headers.link])).toEqual([
        [103, '</a.css>'],
        [102, undefined],
        [103, '</b.css>'],
        [200, undefined],
      ]);
    });

    test('passes without the fields of its connection and of a body', async () => {
      const fields = [
        'Connection: X-Internal, keep-alive',
        'X-Internal: secret',
        'Keep-Alive: timeout=99',
        'Proxy-Authenticate: Basic',
        'Trailer: X-Sum',
        'Upgrade: h2c',
        'Content-Length: 5',
      ];
      const answers = answersIn(await ask('1.1', `${early}${fields.join('\r\n')}\r\n\r\n${final}`));
      expect(answers.map((answer) => answer.status)).toEqual([103, 200]);
      expect(Object.keys(answers[0]?.headers ?? {})).toEqual(expect.arrayContaining(['link', 'x-own']));
      const stopped = [
        'x-internal',
        'keep-alive',
        'proxy-authenticate',
        'trailer',
        'upgrade',
        'content-length',
      ];
      for (const name of stopped) expect(answers[0]?.headers).not.toHaveProperty(name);
    });

    // RFC 9110 15.2: HTTP/1.0 does not define 1xx.
    test('never reaches a client of HTTP/1.0', async () => {
      const text = await ask('1.0', `${early}\r\nHTTP/1.1 102 Processing\r\n\r\n${final}`);
      expect(answersIn(text).map(({ status, text }) => [status, text])).toEqual([[200, 'ok']]);
    });
  });

  test.each([
    ['05', 'hello', '5'],
    ['0005', 'hello', '5'],
    ['00', '', '0'],
  ])('of length %s arrives with its length in plain decimal', async (length, body, plain) => {
    serveRaw((socket) => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n${body}`));
    const answer = await send(gateway, '/raw/x');
    expect([answer.headers['content-length'], answer.text]).toEqual([plain, body]);
  });

  test('of events streams: the headers come before the first event, every event as it is sent', async () => {
    let response: http.ServerResponse | undefined;
    serve((_, events) => {
      response = events;
      events.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    });
    const client = await connect(gateway);
    client.socket.write('GET /api/events HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.received().includes('\r\n\r\n'), 'the headers come before any event');
    expect(client.received()).toContain('text/event-stream');
    for (const n of [1, 2, 3]) {
      response?.write(`data: ${n}\n\n`);
      await until(
        () => client.received().includes(`data: ${n}\n\n`),
        `event ${n} arrives before the next is sent`,
      );
    }
    response?.end();
    await until(() => answersIn(client.received()).length === 1, 'the stream ends');
    client.socket.destroy();
    expect(answersIn(client.received())[0]?.text).toBe('data: 1\n\ndata: 2\n\ndata: 3\n\n');
  });

  test('may begin while the request is still being sent, and both go on', async () => {
    serve((request, response) => void request.pipe(response));
    const client = await connect(gateway);
    client.socket.write('POST /api/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (const word of ['one', 'two', 'six']) {
      client.socket.write(`3\r\n${word}\r\n`);
      await until(() => client.received().includes(word), `${word} comes back before the next is sent`);
    }
    client.socket.write('0\r\n\r\n');
    await until(() => answersIn(client.received()).length === 1, 'the answer ends with the request');
    client.socket.destroy();
    expect(answersIn(client.received())[0]?.text).toBe('onetwosix');
  });
});

describe('many requests', () => {
  test('at once (200) get each its own answer', async () => {
    serve((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (data: Buffer) => chunks.push(data));
      request.on('end', () => response.end(`${request.url} ${Buffer.concat(chunks)}`));
    });
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        send(gateway, `/api/${i}`, { method: 'POST', body: `body ${i}`.repeat(100) }),
      ),
    );
    expect(answers.map((answer) => answer.text)).toEqual(
      Array.from({ length: 200 }, (_, i) => `/${i} ${`body ${i}`.repeat(100)}`),
    );
    expect(service.seen).toHaveLength(200);
  });

  test('one after the other share one connection to the service', async () => {
    await send(gateway, '/api/x');
    const before = service.connections();
    for (let i = 0; i < 10; i++) await send(gateway, '/api/x', { method: 'POST', body: 'x' });
    expect(service.connections()).toBe(before);
  });
});

describe('Expect: 100-continue', () => {
  test.each([5, 16_384, 16_385])('gets 100 before %i bytes are sent, and then the answer', async (length) => {
    const client = await connect(gateway);
    client.socket.write(
      `POST /api/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n`,
    );
    await until(() => client.received().includes('\r\n\r\n'), 'the client is told to continue');
    expect(client.received()).toMatch(/^HTTP\/1\.1 100 /);
    client.socket.write('x'.repeat(length));
    await until(() => client.closed(), 'the answer is complete');
    expect(answersIn(client.received()).map((answer) => answer.status)).toEqual([100, 200]);
    expect(onlySeen().body).toHaveLength(length);
    expect(onlySeen().headers).not.toHaveProperty('expect');
  });

  test('is harmless when the client does not wait', async () => {
    const answer = await send(gateway, '/api/x', {
      method: 'PUT',
      headers: { expect: '100-continue' },
      body: 'hello',
    });
    expect(answer.status).toBe(200);
    expect(onlySeen().body.toString()).toBe('hello');
  });

  test('is harmless without a body', async () => {
    expect((await send(gateway, '/api/x', { headers: { expect: '100-continue' } })).status).toBe(200);
  });

  test.each([
    ['without a body', 'GET', ''],
    ['of length 0', 'POST', 'Content-Length: 0\r\n'],
  ])('gets no 100 when no body follows: %s', async (_, method, length) => {
    const { text } = await sendRaw(
      gateway,
      `${method} /api/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n${length}Connection: close\r\n\r\n`,
    );
    expect(answersIn(text).map((answer) => answer.status)).toEqual([200]);
  });

  test('does not hide a refusal, and the connection stays in order', async () => {
    const client = await connect(gateway);
    client.socket.write(
      'POST /nowhere HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n',
    );
    const final = () => answersIn(client.received()).filter((answer) => answer.status !== 100);
    await until(() => final().length === 1, 'the refusal');
    if (final()[0]?.headers.connection !== 'close') {
      client.socket.write('helloGET /api/x HTTP/1.1\r\nHost: a\r\n\r\n');
      await until(() => final().length === 2, 'the next answer');
    }
    client.socket.destroy();
    expect(final()[0]?.status).toBe(404);
    expect(final()[1]?.status ?? 200).toBe(200);
  });

  test('of an unknown kind breaks nothing', async () => {
    expect((await send(gateway, '/api/x', { headers: { expect: 'miracles' } })).status).toBe(200);
    expect(onlySeen().headers).not.toHaveProperty('expect');
  });

  // RFC 9110 10.1.1: 100 Continue is the response to 100-continue only. An unknown expectation may get 417.
  test.each(['200-ok', '100-continued', 'x100-continue'])(
    'gets 100 in exactly this spelling: there is none for %s',
    async (expectation) => {
      const { text } = await sendRaw(
        gateway,
        `POST /api/x HTTP/1.1\r\nHost: a\r\nExpect: ${expectation}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello`,
      );
      const statuses = answersIn(text).map((answer) => answer.status);
      expect(statuses).toHaveLength(1);
      expect([200, 417]).toContain(statuses[0]);
    },
  );
});
