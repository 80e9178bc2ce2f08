// A refusal is known before the body has arrived, and is sent at once. The rest of the body is discarded
// within limits, is never read as a request, and does not cost the client its answer. Other clients do not
// wait because of it.

import http from 'node:http';
import { describe, expect, test } from 'vitest';
import { sendRaw, writeThenRead } from '../harness/client.ts';
import { expectFair, startLoadProcess, uploadsInChunksOf } from '../harness/load.ts';
import { ask, expectRefused, gateway, inventory, key, unheard, unknownKey } from './callers.ts';

describe('a refused upload', () => {
  const megabyte = Buffer.alloc(1024 * 1024, 'x');

  test.each([
    ['an unknown key', key(unknownKey)],
    ['no key', {}],
  ])('answers 401 to %s without waiting for the body', async (_what, options) => {
    const head =
      'POST /api/orders/upload HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000000\r\n' +
      Object.entries(options.headers ?? {})
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('');
    const { text } = await unheard(() =>
      sendRaw(gateway, `${head}\r\nonly the beginning`, { until: (soFar) => soFar.includes('urn:gateway:') }),
    );
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
  });

  test('leaves the connection in order for the next request', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let round = 0; round < 3; round++) {
      const body = megabyte;
      const refused = await unheard(() =>
        ask('/api/orders/upload', { method: 'POST', agent, body, headers: { 'X-API-Key': unknownKey } }),
      );
      expectRefused(refused, 'unknown-key');
      const answer = await ask(`/api/inventory/after-${round}`, { agent });
      expect(answer.json().target).toBe(`/after-${round}`);
    }
    agent.destroy();
  });

  test.each([
    ['an unknown key', key(unknownKey)],
    ['no key', {}],
  ])('answers 401 to %s, even if the client reads when it has written 1 MB', async (_what, options) => {
    const fields = Object.entries(options.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
    const upload =
      `POST /vault/1 HTTP/1.1\r\nHost: gateway\r\nContent-Length: ${megabyte.length}\r\n${fields.join('')}\r\n` +
      megabyte;
    const times = Array.from({ length: 20 }, () => upload);
    const answers = await unheard(() => Promise.all(times.map((bytes) => writeThenRead(gateway, bytes))));
    expect(answers.map((all) => all.map(({ status }) => status))).toEqual(times.map(() => [401]));
  });

  test('in chunks of 1 byte makes other clients wait at most twice as long as in chunks of 64 KiB', {
    timeout: 180_000,
  }, async () => {
    await expectFair(gateway, '/load/1', await startLoadProcess(), {
      usual: uploadsInChunksOf(65_536, '/vault/x'),
      unusual: uploadsInChunksOf(1, '/vault/x'),
    });
  });

  test('takes nothing in the body for a request', async () => {
    const inner = 'GET /api/inventory/smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n'.repeat(2_000);
    const { text } = await sendRaw(
      gateway,
      `POST /vault/1 HTTP/1.1\r\nHost: gateway\r\nContent-Length: ${inner.length}\r\n\r\n${inner}` +
        'GET /api/inventory/next HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n',
    );
    const [first = '', ...later] = text.split(/(?=HTTP\/1\.1 )/);
    expect(first).toMatch(/^HTTP\/1\.1 401 /);
    if (!/^connection: close/im.test(first)) {
      expect(later).toHaveLength(1);
      expect(later[0]).toMatch(/^HTTP\/1\.1 200 /);
    }
    expect(inventory.seen.map((seen) => seen.target)).not.toContain('/smuggled');
  });
});
