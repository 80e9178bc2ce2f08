// A client can close its connection at any moment: before the response, within its upload, within the
// response. Its call to the service is cancelled then, because otherwise the service works for a response
// that is never read. The line in the log says 499.

import { Readable } from 'node:stream';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Connection, connect, send, until } from '../harness/client.ts';
import { countCalls } from '../harness/upstream.ts';
import { start } from './own-gateway.ts';
import { atOnceMs, put } from './requests.ts';
import { alive, gateway, serve, service } from './services.ts';

describe('a client that leaves', () => {
  let left: boolean;

  beforeEach(() => {
    left = false;
    serve((_, response) => {
      response.once('close', () => {
        left = !response.writableFinished;
      });
    });
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
    serve((_, response) => {
      open++;
      response.once('close', () => open--);
    });
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
    serve((_, response) => void response.end('ok'));
    const expectCalls = countCalls({ service });
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
    expectCalls(4);
  });

  test('in the middle of an answer takes it along', async () => {
    serve((_, response) => {
      response.once('close', () => {
        left = !response.writableFinished;
      });
      response.write('begun');
    });
    const client = await begin('GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.received().includes('begun'), 'the answer has begun');
    client.socket.destroy();
    await until(() => left, 'the call is cancelled', atOnceMs);
    await alive();
  });

  test('while an answer waits for it takes the answer along', async () => {
    let taken = 0;
    serve((_, response) => {
      response.once('close', () => {
        left = !response.writableFinished;
      });
      Readable.from(
        (function* () {
          for (; taken < 1_000; taken++) yield Buffer.alloc(65_536);
        })(),
      ).pipe(response);
    });
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

  test('in crowds harms no other client', async () => {
    const clients = await Promise.all(Array.from({ length: 50 }, () => connect(gateway)));
    const before = service.begun();
    for (const client of clients) client.socket.write('GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => service.begun() - before === 50, 'the service has all requests');
    for (const client of clients) client.socket.destroy();
    serve((_, response) => response.end('ok'));
    expect((await send(gateway, '/api/x')).text).toBe('ok');
  });
});

describe.concurrent('pipelined requests', () => {
  test('of a client that leaves are not called: only the call in flight is cancelled', async () => {
    let cancelled = 0;
    const { gateway, service } = await start((request, response) => {
      if (request.url === '/other') return void response.end('ok');
      response.once('close', () => cancelled++);
    });
    const post = put('/api/left').replace('PUT', 'POST');
    const client = await connect(gateway);
    client.socket.write(post.repeat(3));
    await until(() => service.seen.length > 0, 'the service has the first body');
    expect((await send(gateway, '/api/other')).text).toBe('ok');
    client.socket.destroy();
    await until(() => cancelled > 0, 'the call is cancelled', atOnceMs);
    for (let i = 0; i < 3; i++) expect((await send(gateway, '/api/other')).text).toBe('ok');
    expect(service.seen.map(({ target }) => target)).toEqual(['/left', ...Array(4).fill('/other')]);
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    const lines = gateway.log().filter(({ path }) => path === '/api/left');
    expect(lines).toMatchObject([{ method: 'POST', route: '/api', service: 'service', status: 499 }]);
  });
});
