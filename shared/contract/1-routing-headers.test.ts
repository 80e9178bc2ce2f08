import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Answer, answersIn, connect, expectProblem, send, sendRaw, until } from './harness/client.ts';
import { configFor, type Gateway, level, startGateway } from './harness/gateway.ts';
import { type Seen, startRawUpstream, startUpstream, type Upstream } from './harness/upstream.ts';

let gateway: Gateway;
let service: Upstream;
let raw: Upstream;
/** The handler of the service in the current test. */
let handle: RequestListener;
/** The answer of the raw service in the current test, or its handler. */
let rawAnswer: string | ((socket: Socket) => void);

beforeAll(async () => {
  service = await startUpstream((request, response) => handle(request, response));
  raw = await startRawUpstream((socket) => {
    if (typeof rawAnswer === 'string') socket.write(Buffer.from(rawAnswer, 'latin1'));
    else rawAnswer(socket);
  });
  gateway = await startGateway(
    configFor({
      services: {
        service: { url: service.url, timeoutMs: 5_000 },
        raw: { url: raw.url, timeoutMs: 5_000 },
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

function onlySeen(): Seen {
  expect(service.seen).toHaveLength(1);
  return service.seen[0] as Seen;
}

describe('request fields', () => {
  test('of the connection between client and gateway stop there', async () => {
    const { text } = await sendRaw(
      gateway,
      [
        'GET /api/x HTTP/1.1',
        'Host: a',
        'Connection: close, X-Internal, x-other',
        'X-Internal: secret',
        'X-Other: secret',
        'Keep-Alive: timeout=99',
        'Proxy-Connection: keep-alive',
        'Proxy-Authorization: Basic c2VjcmV0',
        'Proxy-Authenticate: Basic',
        'TE: trailers',
        'Trailer: X-Checksum',
        'Upgrade: h2c',
        'X-Kept: yes',
        '\r\n',
      ].join('\r\n'),
    );
    expect(answersIn(text)[0]?.status).toBe(200);
    const { headers } = onlySeen();
    for (const name of [
      'x-internal',
      'x-other',
      'keep-alive',
      'proxy-connection',
      'proxy-authorization',
      'proxy-authenticate',
      'te',
      'trailer',
      'upgrade',
      'transfer-encoding',
    ]) {
      expect(headers).not.toHaveProperty(name);
    }
    expect(headers.connection ?? 'keep-alive').toBe('keep-alive');
    expect(headers['x-kept']).toBe('yes');
  });

  test('named in a second Connection field stop as well', async () => {
    await send(gateway, '/api/x', {
      headers: [
        'Connection',
        'X-One',
        'Connection',
        'close , X-Two',
        'X-One',
        '1',
        'X-Two',
        '2',
        'X-Three',
        '3',
      ],
    });
    const { headers } = onlySeen();
    expect([headers['x-one'], headers['x-two'], headers['x-three']]).toEqual([undefined, undefined, '3']);
  });

  test('with an underscore stop when Connection names them', async () => {
    await send(gateway, '/api/x', {
      headers: { connection: 'close, X_Foo', X_Foo: 'secret', X_Kept: 'yes' },
    });
    const { headers } = onlySeen();
    expect([headers.x_foo, headers.x_kept]).toEqual([undefined, 'yes']);
  });

  // A CGI-like server reads Content_Length as Content-Length.
  test.each(['Content_Length', 'content_length', 'CONTENT_LENGTH'])(
    'like %s stop: they are not the length of the body',
    async (name) => {
      const answer = await send(gateway, '/api/x', {
        method: 'POST',
        headers: { [name]: '99' },
        body: 'hello',
      });
      expect(answer.status).toBe(200);
      const { headers, body } = onlySeen();
      expect([headers.content_length, headers['content-length']]).toEqual([undefined, '5']);
      expect(body.toString()).toBe('hello');
    },
  );

  test('end to end arrive unchanged, and nothing unexpected is added', async () => {
    const sent = {
      Accept: 'text/html;q=0.5, */*',
      'Accept-Encoding': 'gzip, br',
      Authorization: 'Bearer abc.def',
      Cookie: 'a=1; b="2"',
      'If-None-Match': 'W/"1"',
      Range: 'bytes=0-1',
      'User-Agent': 'Test/1.0 (x)',
      'X-Empty': '',
      'X-Spaces': 'a  b\tc',
      Constructor: 'a',
      Prefer: 'return=minimal',
    };
    await send(gateway, '/api/x', { headers: sent });
    const { headers } = onlySeen();
    const lower = Object.fromEntries(
      Object.entries(sent).map(([name, value]) => [name.toLowerCase(), value]),
    );
    expect(headers).toMatchObject(lower);
    const added = ['host', 'connection', 'via', 'x-request-id', ...(level >= 6 ? ['traceparent'] : [])];
    const unexpected = Object.keys(headers).filter(
      (name) =>
        !(name in lower) && !added.includes(name) && !/^x-forwarded-(for|proto|host|prefix)$/.test(name),
    );
    expect(unexpected).toEqual([]);
  });

  test('that are repeated keep every value in order', async () => {
    await send(gateway, '/api/x', { headers: ['X-Dup', '1', 'X-Other', 'o', 'x-dup', '2'] });
    expect(onlySeen().headersDistinct['x-dup']?.join(', ')).toBe('1, 2');
  });

  test('keep bytes outside ASCII', async () => {
    const { text } = await sendRaw(
      gateway,
      'GET /api/x HTTP/1.1\r\nHost: a\r\nX-Latin1: caf\xe9\r\nX-Utf8: caf\xc3\xa9\r\nConnection: close\r\n\r\n',
    );
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
    const { headers } = onlySeen();
    expect([headers['x-latin1'], headers['x-utf8']]).toEqual(['caf\xe9', 'caf\xc3\xa9']);
  });

  test('of almost 16 KiB pass', async () => {
    expect((await send(gateway, '/api/x', { headers: { 'X-Big': 'a'.repeat(15_000) } })).status).toBe(200);
    expect(onlySeen().headers['x-big']).toHaveLength(15_000);
  });

  test.each([
    ['Upgrade: websocket', 'Upgrade: websocket'],
    ['Upgrade: websocket with Connection: Upgrade', 'Connection: Upgrade\r\nUpgrade: websocket'],
    ['Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk'],
    ['a bare Keep-Alive', 'Keep-Alive: timeout=5'],
    ['an empty Keep-Alive', 'Keep-Alive:'],
    ['Proxy-Connection', 'Proxy-Connection: keep-alive'],
    ['an empty Connection', 'Connection:'],
    ['a Connection of commas', 'Connection: , ,'],
    ['TE: gzip', 'TE: gzip'],
  ])('like %s are dropped and break nothing', async (_, lines) => {
    const { text } = await sendRaw(gateway, `GET /api/x HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`, {
      until: (received) => answersIn(received).length === 1,
    });
    expect(answersIn(text).map((answer) => [answer.status, answer.text])).toEqual([[200, 'ok']]);
    const { headers } = onlySeen();
    for (const name of ['upgrade', 'keep-alive', 'proxy-connection', 'te', 'http2-settings']) {
      expect(headers).not.toHaveProperty(name);
    }
  });

  test('named in Connection never cost the body: Content-Length is still known', async () => {
    const { text } = await sendRaw(
      gateway,
      'POST /api/x HTTP/1.1\r\nHost: a\r\nConnection: close, content-length\r\nContent-Length: 5\r\n\r\nhello',
    );
    expect(answersIn(text)[0]?.status).toBe(200);
    expect(onlySeen().body.toString()).toBe('hello');
  });
});

describe('what the gateway tells the service', () => {
  test('is the service’s own Host, and the asked one in X-Forwarded-Host', async () => {
    await send(gateway, '/api/x', { headers: { host: 'shop.example:8443' } });
    const { headers } = onlySeen();
    expect(headers.host).toBe(`127.0.0.1:${service.port}`);
    expect(headers['x-forwarded-host']).toBe('shop.example:8443');
  });

  test('is the client’s address in X-Forwarded-For, and http in X-Forwarded-Proto', async () => {
    await send(gateway, '/api/x');
    const { headers } = onlySeen();
    expect([headers['x-forwarded-for'], headers['x-forwarded-proto']]).toEqual(['127.0.0.1', 'http']);
  });

  test('is the prefix that was taken off the path, in X-Forwarded-Prefix', async () => {
    await send(gateway, '/api/x');
    await send(gateway, '/%61pi/y');
    expect(service.seen.map(({ target, headers }) => [target, headers['x-forwarded-prefix']])).toEqual([
      ['/x', '/api'],
      ['/y', '/api'],
    ]);
  });

  test('replaces whatever a client claims in X-Forwarded-*, Forwarded and X-Real-IP', async () => {
    await send(gateway, '/api/x', {
      headers: [
        ['Host', 'shop.example'],
        ['X-Forwarded-For', '6.6.6.6'],
        ['x-forwarded-for', '6.6.6.7'],
        ['X-Forwarded-Proto', 'https'],
        ['X-Forwarded-Host', 'evil.example'],
        ['X-Forwarded-Port', '666'],
        ['X-Forwarded-Prefix', '/evil'],
        ['X-Forwarded-Server', 'evil'],
        ['Forwarded', 'for=6.6.6.6'],
        ['X-Real-IP', '6.6.6.6'],
      ].flat(),
    });
    const { headers, rawHeaders } = onlySeen();
    expect(
      rawHeaders.filter((_, i) => i % 2 === 1).filter((value) => /6\.6\.6|evil|^666$/.test(value)),
    ).toEqual([]);
    expect(headers).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-prefix': '/api',
    });
    expect(headers).not.toHaveProperty('forwarded');
    expect(headers).not.toHaveProperty('x-real-ip');
  });

  test('cannot be taken away by naming it in Connection', async () => {
    await send(gateway, '/api/x', {
      headers: {
        connection:
          'close, x-forwarded-for, X-Forwarded-Host, x-forwarded-proto, x-forwarded-prefix, via, host',
      },
    });
    expect(onlySeen().headers).toMatchObject({
      host: `127.0.0.1:${service.port}`,
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': `127.0.0.1:${gateway.port}`,
      'x-forwarded-prefix': '/api',
      via: expect.stringMatching(/^1\.1 \S+$/),
    });
  });

  test('is its own name in Via', async () => {
    await send(gateway, '/api/x');
    expect(onlySeen().headers.via).toMatch(/^1\.1 \S+$/);
  });

  test('is its name behind those of earlier proxies in Via', async () => {
    await send(gateway, '/api/x', { headers: { via: '1.0 fred' } });
    expect(onlySeen().headersDistinct.via?.join(', ')).toMatch(/^1\.0 fred, 1\.1 \S+$/);
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

  test('of a kind nobody knows breaks nothing', async () => {
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

describe('answer fields', () => {
  const head = (lines: string[], body: string) =>
    `HTTP/1.1 200 OK\r\n${[`Content-Length: ${body.length}`, ...lines].join('\r\n')}\r\n\r\n${body}`;

  test('of the connection between gateway and service stop at the gateway', async () => {
    rawAnswer = head(
      [
        'Connection: keep-alive, X-Internal',
        'X-Internal: secret',
        'Keep-Alive: timeout=99',
        'Proxy-Authenticate: Basic',
        'Proxy-Authorization: Basic c2VjcmV0',
        'Proxy-Connection: keep-alive',
        'TE: gzip',
        'Upgrade: h2c',
        'X-Kept: yes',
      ],
      'ok',
    );
    const answer = await send(gateway, '/raw/x', { headers: { connection: 'keep-alive' } });
    expect([answer.status, answer.text, answer.headers['x-kept']]).toEqual([200, 'ok', 'yes']);
    for (const name of [
      'x-internal',
      'proxy-authenticate',
      'proxy-authorization',
      'proxy-connection',
      'te',
      'upgrade',
    ]) {
      expect(answer.headers).not.toHaveProperty(name);
    }
    expect(answer.headers.connection ?? 'keep-alive').toBe('keep-alive');
    expect(answer.headers['keep-alive'] ?? '').not.toContain('99');
  });

  test('Trailer beside Content-Length does not end the process', async () => {
    rawAnswer = head(['Trailer: X-Checksum'], 'ok');
    const answer = await send(gateway, '/raw/x');
    expect([answer.status, answer.text]).toEqual([200, 'ok']);
    expect(answer.headers).not.toHaveProperty('trailer');
    expect((await send(gateway, '/health')).status).toBe(200);
  });

  test('sent as trailers of a chunked answer stop, and its body passes', async () => {
    rawAnswer =
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n2\r\nok\r\n0\r\nX-Checksum: 1\r\n\r\n';
    const answer = await send(gateway, '/raw/x');
    expect([answer.status, answer.text]).toEqual([200, 'ok']);
    expect(answer.headers).not.toHaveProperty('trailer');
  });

  test('Connection: close of the service does not close the client’s connection', async () => {
    handle = (_, response) => {
      response.setHeader('connection', 'close');
      response.end('ok');
    };
    const get = 'GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n';
    const client = await connect(gateway);
    for (const count of [1, 2, 3]) {
      client.socket.write(get);
      await until(
        () => answersIn(client.received()).length === count,
        `answer ${count} on the same connection`,
      );
    }
    const answers = answersIn(client.received());
    client.socket.destroy();
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);
    expect(answers.map((answer) => answer.headers.connection ?? 'keep-alive')).not.toContain('close');
  });

  test('Connection: close of the client does not close the service’s connection', async () => {
    await send(gateway, '/api/x');
    const before = service.connections();
    for (let i = 0; i < 5; i++) await send(gateway, '/api/x', { headers: { connection: 'close' } });
    expect(service.connections()).toBe(before);
  });

  test('named in the service’s Connection never cost the body', async () => {
    rawAnswer = head(['Connection: content-length'], 'complete');
    expect((await send(gateway, '/raw/x')).text).toBe('complete');
  });

  test('that are repeated stay repeated and in order', async () => {
    rawAnswer = head(
      [
        'Set-Cookie: a=1; Path=/',
        'X-Multi: 1',
        'Set-Cookie: b=2; HttpOnly',
        'WWW-Authenticate: Basic realm="a"',
        'WWW-Authenticate: Bearer',
        'x-multi: 2',
      ],
      'ok',
    );
    const { rawHeaders } = await send(gateway, '/raw/x');
    const valuesOf = (name: string) =>
      rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
    expect(valuesOf('set-cookie')).toEqual(['a=1; Path=/', 'b=2; HttpOnly']);
    expect(valuesOf('www-authenticate')).toEqual(['Basic realm="a"', 'Bearer']);
    expect(valuesOf('x-multi')).toEqual(['1', '2']);
  });

  test('of the service itself stay: Date, Server, Via, ETag, Cache-Control', async () => {
    const fields = {
      date: 'Tue, 15 Nov 1994 08:12:31 GMT',
      server: 'Legacy/1.0',
      via: '1.1 inner',
      etag: '"x"',
      'cache-control': 'no-store',
      constructor: 'a',
    };
    rawAnswer = head(
      Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
      'ok',
    );
    const answer = await send(gateway, '/raw/x');
    expect(answer.headers).toMatchObject({ ...fields, via: expect.stringMatching(/^1\.1 inner/) });
    expect(answer.rawHeaders.filter((name) => name.toLowerCase() === 'date')).toHaveLength(1);
  });

  test('keep bytes outside ASCII', async () => {
    rawAnswer = head(['X-Latin1: caf\xe9', 'X-Utf8: caf\xc3\xa9'], 'ok');
    const { headers } = await send(gateway, '/raw/x');
    expect([headers['x-latin1'], headers['x-utf8']]).toEqual(['caf\xe9', 'caf\xc3\xa9']);
  });

  // Node re-encodes the value of this one header when it comes after Content-Length.
  test('keep the bytes of a file name in Content-Disposition', async () => {
    rawAnswer = head(['Content-Disposition: attachment; filename="caf\xc3\xa9"'], 'ok');
    const { headers } = await send(gateway, '/raw/x');
    expect(headers['content-disposition']).toBe('attachment; filename="caf\xc3\xa9"');
  });

  test('of almost 16 KiB pass', async () => {
    rawAnswer = head([`X-Big: ${'a'.repeat(15_000)}`], 'ok');
    expect((await send(gateway, '/raw/x')).headers['x-big']).toHaveLength(15_000);
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
      'an encoding nobody knows below the chunks',
      `POST /api/x HTTP/1.1\r\n${host}Transfer-Encoding: xyz\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    ],
    ['a space before a colon', `GET /api/x HTTP/1.1\r\n${host}X-A : b\r\n\r\n`],
    ['a header line without a colon', `GET /api/x HTTP/1.1\r\n${host}nonsense\r\n\r\n`],
    ['a method nobody knows', `FETCH /api/x HTTP/1.1\r\n${host}\r\n`],
    ['a space in the target', `GET /api/x y HTTP/1.1\r\n${host}\r\n`],
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n\r\n'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ];

  test.each(cases)('because of %s gets 400, and no service sees it', async (_, bytes) => {
    const before = service.begun();
    const { text } = await sendRaw(gateway, bytes, { until: (received) => answersIn(received).length > 0 });
    const answers = answersIn(text);
    expect(answers).toHaveLength(1);
    for (const answer of answers) expectProblem(answer, 400, 'bad-request');
    expect(service.begun()).toBe(before);
  });

  test.each([
    ['no version', 'GET /api/x\r\n'],
    ['HTTP/0.9', 'GET /api/x HTTP/0.9\r\n'],
    ['HTTP/2.0', 'GET /api/x HTTP/2.0\r\n'],
  ])('because of %s gets 400 or loses the connection, and no service sees it', async (_, line) => {
    const before = service.begun();
    const { text } = await sendRaw(gateway, `${line}${host}\r\n`, {
      until: (received) => answersIn(received).length > 0,
    });
    for (const answer of answersIn(text)) expectProblem(answer, 400, 'bad-request');
    expect(service.begun()).toBe(before);
  });

  test('because of HTTP/1.0 with Transfer-Encoding gets 400 and loses the connection', async () => {
    const before = service.begun();
    const { text, closed } = await sendRaw(
      gateway,
      `POST /api/x HTTP/1.0\r\n${host}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n` +
        `5\r\nhello\r\n0\r\n\r\nGET /api/smuggled HTTP/1.1\r\n${host}\r\n`,
    );
    expect(closed).toBe(true);
    const [answer, ...more] = answersIn(text);
    expectProblem(answer as Answer, 400, 'bad-request');
    expect([answer?.headers.connection, more]).toEqual(['close', []]);
    expect(service.begun()).toBe(before);
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

  test.each([
    ['one field over 16 KiB', `X-Big: ${'a'.repeat(17_000)}\r\n`],
    [
      'many fields over 16 KiB',
      Array.from({ length: 400 }, (_, i) => `X-${i}: ${'a'.repeat(50)}\r\n`).join(''),
    ],
  ])('because of %s gets 431, and no service sees it', async (_, fields) => {
    const before = service.begun();
    const { text } = await sendRaw(gateway, `GET /api/x HTTP/1.1\r\n${host}${fields}\r\n`, {
      until: (received) => answersIn(received).length > 0,
    });
    const answers = answersIn(text);
    expect(answers).toHaveLength(1);
    for (const answer of answers) expectProblem(answer, 431, 'headers-too-large');
    expect(service.begun()).toBe(before);
  });
});

describe('one connection', () => {
  test('gets the answers to pipelined requests in order, the slow one first', async () => {
    let release = () => {};
    handle = (request, response) => {
      if (request.url === '/1') release = () => response.end('/1');
      else response.end(request.url);
    };
    const client = await connect(gateway);
    for (const n of [1, 2, 3, 4]) client.socket.write(`GET /api/${n} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until(() => service.seen.some((seen) => seen.target === '/1'), 'the slow request has arrived');
    release();
    await until(() => answersIn(client.received()).length === 4, 'four answers');
    client.socket.destroy();
    expect(answersIn(client.received()).map((answer) => answer.text)).toEqual(['/1', '/2', '/3', '/4']);
  });

  test('of HTTP/1.0 gets an answer that is not chunked, and is closed', async () => {
    handle = (_, response) => {
      response.write('first ');
      response.end('second');
    };
    const { text, closed } = await sendRaw(gateway, 'GET /api/x HTTP/1.0\r\nHost: a\r\n\r\n');
    expect(closed).toBe(true);
    expect(text.toLowerCase()).not.toContain('transfer-encoding');
    expect(answersIn(text).map((answer) => [answer.status, answer.text])).toEqual([[200, 'first second']]);
  });
});
