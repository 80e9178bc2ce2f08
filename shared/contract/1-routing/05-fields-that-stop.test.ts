// Some header fields belong to one connection: Connection and the fields that it names, Keep-Alive, TE,
// Trailer, Upgrade and the Proxy fields. They stop at the gateway, in both directions. All other fields pass
// in their order, with all their bytes.

import { describe, expect, test } from 'vitest';
import { answersIn, connect, send, sendRaw, until } from '../harness/client.ts';
import { level } from '../harness/gateway.ts';
import { gateway, onlySeen, serve, serveRaw, service } from './services.ts';

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

describe('answer fields', () => {
  const head = (lines: string[], body: string) =>
    `HTTP/1.1 200 OK\r\n${[`Content-Length: ${body.length}`, ...lines].join('\r\n')}\r\n\r\n${body}`;

  test('of the connection between gateway and service stop at the gateway', async () => {
    serveRaw(
      head(
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
      ),
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
    serveRaw(head(['Trailer: X-Checksum'], 'ok'));
    const answer = await send(gateway, '/raw/x');
    expect([answer.status, answer.text]).toEqual([200, 'ok']);
    expect(answer.headers).not.toHaveProperty('trailer');
    expect((await send(gateway, '/health')).status).toBe(200);
  });

  test('sent as trailers of a chunked answer stop, and its body passes', async () => {
    serveRaw(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n2\r\nok\r\n0\r\nX-Checksum: 1\r\n\r\n',
    );
    const answer = await send(gateway, '/raw/x');
    expect([answer.status, answer.text]).toEqual([200, 'ok']);
    expect(answer.headers).not.toHaveProperty('trailer');
  });

  test('Connection: close of the service does not close the client’s connection', async () => {
    serve((_, response) => {
      response.setHeader('connection', 'close');
      response.end('ok');
    });
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
    serveRaw(head(['Connection: content-length'], 'complete'));
    expect((await send(gateway, '/raw/x')).text).toBe('complete');
  });

  test('that are repeated stay repeated and in order', async () => {
    serveRaw(
      head(
        [
          'Set-Cookie: a=1; Path=/',
          'X-Multi: 1',
          'Set-Cookie: b=2; HttpOnly',
          'WWW-Authenticate: Basic realm="a"',
          'WWW-Authenticate: Bearer',
          'x-multi: 2',
        ],
        'ok',
      ),
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
    serveRaw(
      head(
        Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
        'ok',
      ),
    );
    const answer = await send(gateway, '/raw/x');
    expect(answer.headers).toMatchObject({ ...fields, via: expect.stringMatching(/^1\.1 inner/) });
    expect(answer.rawHeaders.filter((name) => name.toLowerCase() === 'date')).toHaveLength(1);
  });

  test('keep bytes outside ASCII', async () => {
    serveRaw(head(['X-Latin1: caf\xe9', 'X-Utf8: caf\xc3\xa9'], 'ok'));
    const { headers } = await send(gateway, '/raw/x');
    expect([headers['x-latin1'], headers['x-utf8']]).toEqual(['caf\xe9', 'caf\xc3\xa9']);
  });

  // Node re-encodes the value of this one header when it comes after Content-Length.
  test('keep the bytes of a file name in Content-Disposition', async () => {
    serveRaw(head(['Content-Disposition: attachment; filename="caf\xc3\xa9"'], 'ok'));
    const { headers } = await send(gateway, '/raw/x');
    expect(headers['content-disposition']).toBe('attachment; filename="caf\xc3\xa9"');
  });

  test('of almost 16 KiB pass', async () => {
    serveRaw(head([`X-Big: ${'a'.repeat(15_000)}`], 'ok'));
    expect((await send(gateway, '/raw/x')).headers['x-big']).toHaveLength(15_000);
  });
});
