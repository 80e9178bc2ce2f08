// A service can be unreachable, answer with bytes that are not HTTP, stop in the middle of a response, or be
// too slow. The client gets 502 or 504 with a problem document, and the gateway continues. It never calls
// twice, because the first call may have had its effect already.

import net, { type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { answersIn, connect, expectProblem, send, sendRaw, until } from '../harness/client.ts';
import { countCalls } from '../harness/upstream.ts';
import { atOnceMs } from './requests.ts';
import { alive, dubious, expectEnd, gateway, mebibyte, raw, serve, serveRaw, service } from './services.ts';

describe('a service that cannot be reached', () => {
  test('because nothing listens makes 502', async () => {
    expectProblem(await send(gateway, '/dead/x'), 502, 'upstream-unreachable');
  });

  test('because its name is unknown makes 502', async () => {
    expectProblem(await send(gateway, '/unknown/x'), 502, 'upstream-unreachable');
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

  test('is not asked when no authority vouches for its certificate: 502', async () => {
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
      '101 that the client did not ask for',
      'upstream-invalid',
      answering('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
    ],
  ];

  test.each(cases)('by %s makes 502 %s, after one call', async (_, name, reaction) => {
    serveRaw(reaction);
    const expectCalls = countCalls({ raw });
    const answer = await send(gateway, '/raw/x', { timeoutMs: 5_000 });
    expectCalls(1);
    expectProblem(answer, 502, name);
  });

  test('by switching protocols for a client that asked makes 502, too: Upgrade never got there', async () => {
    serveRaw(
      answering(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes',
      ),
    );
    const { text } = await sendRaw(
      gateway,
      'GET /raw/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      { until: (received) => answersIn(received).length > 0 },
    );
    expect(answersIn(text)[0]?.status).toBe(502);
  });

  test.each(['GET', 'HEAD', 'POST', 'PUT', 'DELETE'])('is never asked twice: %s', async (method) => {
    serveRaw((socket) => socket.destroy());
    const expectCalls = countCalls({ raw });
    const answer = await send(gateway, '/raw/x', { method });
    expectCalls(1);
    expect(answer.status).toBe(502);
  });

  test('is never asked twice when a kept connection breaks', async () => {
    let count = 0;
    serveRaw((socket) => {
      count++;
      if (count === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else socket.destroy();
    });
    expect((await send(gateway, '/raw/x')).status).toBe(200);
    expectProblem(await send(gateway, '/raw/x'), 502, 'upstream-reset');
    expect(count).toBe(2);
  });

  test.each(['0', '1', 'Fri, 31 Dec 2099 23:59:59 GMT', 'soon'])(
    'by 503 with Retry-After: %s is asked once, and its answer passes',
    async (retryAfter) => {
      serve((_, response) => response.writeHead(503, { 'retry-after': retryAfter }).end('own words'));
      const expectCalls = countCalls({ service });
      const answer = await send(gateway, '/api/x');
      expect([answer.status, answer.headers['retry-after'], answer.text]).toEqual([
        503,
        retryAfter,
        'own words',
      ]);
      expectCalls(1);
    },
  );

  test('leaves the client’s connection in order', async () => {
    serveRaw((socket) => socket.destroy());
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
    serveRaw(reaction);
    const expectCalls = countCalls({ raw });
    const { text, closed } = await sendRaw(gateway, 'GET /raw/x HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(closed).toBe(true);
    expect(text).not.toContain('0\r\n\r\n');
    expect(answersIn(text).filter((answer) => answer.status === 200)).toEqual([]);
    expectCalls(1);
    await alive();
  });

  const chunk = 'Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n';
  test.each([
    ['closed', chunk, (socket: Socket) => socket.destroy()],
    ['reset', chunk, (socket: Socket) => socket.resetAndDestroy()],
    ['reset where no length is told', '\r\nfirst', (socket: Socket) => socket.resetAndDestroy()],
  ])('after a while (%s) is cut for the client at that moment', async (_, body, end) => {
    let cut = () => {};
    serveRaw((socket) => {
      socket.write(`${head}${body}`);
      cut = () => void end(socket);
    });
    const client = await connect(gateway);
    client.socket.write('GET /raw/x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.received().includes('first'), 'the first chunk');
    cut();
    await until(() => client.closed(), 'the client’s connection is cut', atOnceMs);
    expect(answersIn(client.received())).toEqual([]);
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
    serveRaw((socket) => {
      socket.write(head + begin);
      cut = () => end(socket);
    });
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

describe('a service that takes too long', () => {
  test('gets 504 in its name after timeoutMs, neither earlier nor much later', async () => {
    serve(() => {});
    const elapsedMs: number[] = [];
    for (const attempt of [1, 2, 3]) {
      const expectCalls = countCalls({ service });
      const begin = performance.now();
      expectProblem(await send(gateway, `/hasty/${attempt}`), 504, 'upstream-timeout');
      elapsedMs.push(performance.now() - begin);
      expectCalls(1);
    }
    expect(Math.min(...elapsedMs)).toBeGreaterThan(290);
    // The fastest of three: a busy machine is late sometimes, a timer that is too coarse is late every time.
    expect(Math.min(...elapsedMs)).toBeLessThan(900);
  });

  test('gets 504 for a POST whose body it has read, and loses the call', async () => {
    let left = false;
    serve((_, response) => {
      response.once('close', () => {
        left = true;
      });
    });
    expectProblem(
      await send(gateway, '/hasty/x', { method: 'POST', body: 'hello' }),
      504,
      'upstream-timeout',
    );
    await until(() => left, 'the call is cancelled', atOnceMs);
  });

  test('gets 504 when interim answers are all it sends', async () => {
    serve((_, response) => {
      const hints = setInterval(() => response.writeProcessing(), 50);
      response.once('close', () => clearInterval(hints));
    });
    expectProblem(await send(gateway, '/hasty/x', { timeoutMs: 5_000 }), 504, 'upstream-timeout');
  });

  test('only has to begin in time: a slow body is no timeout', async () => {
    serve((_, response) => {
      response.write('begun ');
      setTimeout(() => response.end('and done'), 1_200);
    });
    expect((await send(gateway, '/patient/x')).text).toBe('begun and done');
  });

  test('and then answers harms no other client', async () => {
    serve((_, response) => void setTimeout(() => response.end('late'), 1_000));
    expect((await send(gateway, '/patient/x')).status).toBe(504);
    serve((_, response) => response.end('fresh'));
    expect((await send(gateway, '/patient/x')).text).toBe('fresh');
  });
});
