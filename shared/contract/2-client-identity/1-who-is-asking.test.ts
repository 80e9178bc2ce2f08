// A caller shows who it is with a key in X-API-Key, and the config holds the SHA-256 digests of the keys of
// each client. Without the field the caller is anonymous; a key that is unknown, empty or repeated gets 401,
// even where no key is needed. The key counts as a whole: no other field, spelling or part of it is a key.

import http from 'node:http';
import { describe, expect, test } from 'vitest';
import { sendRaw } from '../harness/client.ts';
import {
  ask,
  canary,
  digest,
  expectRefused,
  gateway,
  key,
  logged,
  mobileId,
  mobileKey,
  mobileSpareKey,
  partnerId,
  partnerKey,
  unheard,
  unknownKey,
} from './callers.ts';

describe('who is asking', () => {
  test('serves an anonymous request on a public route', async () => {
    const answer = await ask('/api/inventory/1');
    expect(answer.status).toBe(200);
    expect(answer.json().target).toBe('/1');
  });

  test('serves a known key on public and protected routes', async () => {
    for (const known of [mobileKey, partnerKey]) {
      expect((await ask('/api/inventory/1', key(known))).status).toBe(200);
      const answer = await ask('/api/orders/1?x=1', key(known));
      expect(answer.status).toBe(200);
      expect(answer.json().target).toBe('/1?x=1');
    }
  });

  test('answers 401 key-required to an anonymous request on a protected route', async () => {
    expectRefused(await unheard(() => ask('/api/orders/1')), 'key-required');
  });

  test.each(['/api/inventory/1', '/api/orders/1'])(
    'answers 401 unknown-key to an unknown key on %s',
    async (to) => {
      expectRefused(await unheard(() => ask(to, key(unknownKey))), 'unknown-key');
    },
  );

  test('finds a key behind 1,200 other fields', async () => {
    const behind = (value: string) => ({
      headers: [...Array.from({ length: 1_200 }, () => ['a', 'b']), ['X-API-Key', value]].flat(),
    });
    expect((await ask('/api/orders/1', behind(mobileKey))).status).toBe(200);
    expectRefused(await unheard(() => ask('/api/inventory/1', behind(unknownKey))), 'unknown-key');
  });

  test.each(['/api/inventory/1', '/api/orders/1'])(
    'treats an empty key as unknown, not absent, on %s',
    async (to) => {
      expectRefused(await unheard(() => ask(to, key(''))), 'unknown-key');
    },
  );

  test.each(['/api/inventory/1', '/api/orders/1'])('treats a blank key as unknown on %s', async (to) => {
    expectRefused(await unheard(() => ask(to, key('  \t '))), 'unknown-key');
  });

  test.each([
    ['the same known key twice', [mobileKey, mobileKey]],
    ['two keys of one client', [mobileKey, mobileSpareKey]],
    ['a known key and an unknown one', [mobileKey, unknownKey]],
    ['an unknown key and a known one', [unknownKey, mobileKey]],
    ['a known key and an empty one', [mobileKey, '']],
    ['two empty ones', ['', '']],
  ])('refuses a repeated key: %s', async (_what, values) => {
    for (const to of ['/api/inventory/1', '/api/orders/1']) {
      expectRefused(await unheard(() => ask(to, key(values))), 'unknown-key');
    }
  });

  test('refuses a key repeated under another spelling of the name', async () => {
    const headers = ['X-API-Key', mobileKey, 'x-api-key', mobileKey];
    expectRefused(await unheard(() => ask('/api/inventory/1', { headers })), 'unknown-key');
  });

  test.each([
    'constructor',
    '__proto__',
    'toString',
    'hasOwnProperty',
    'prototype',
    '0',
    'null',
    'undefined',
  ])('does not know %s, which a plain object would', async (name) => {
    expectRefused(await unheard(() => ask('/api/inventory/1', key(name))), 'unknown-key');
    expectRefused(await unheard(() => ask('/api/orders/1', key(name))), 'unknown-key');
  });

  test.each([
    ['its digest', digest(mobileKey)],
    ['the client id', mobileId],
    ['the key in capitals', mobileKey.toUpperCase()],
    ['the key in quotes', `"${mobileKey}"`],
    ['the key and one letter more', `${mobileKey}x`],
    ['the key without its last letter', mobileKey.slice(0, -1)],
    ['two keys joined by a comma', `${mobileKey}, ${mobileKey}`],
    ['a scheme before the key', `ApiKey ${mobileKey}`],
  ])('does not take for the key: %s', async (_what, value) => {
    expectRefused(await unheard(() => ask('/api/orders/1', key(value))), 'unknown-key');
  });

  test('refuses a key of 8 KiB', async () => {
    const answer = await unheard(() => ask('/api/inventory/1', key(`${canary}-${'k'.repeat(8_185)}`)));
    expectRefused(answer, 'unknown-key');
  });

  test.each([
    ['Latin-1', 'caf\xe9'],
    ['UTF-8', Buffer.from('clé-ключ-🔑').toString('latin1')],
    ['a known key and a byte above 127', `${mobileKey}\xa0`],
  ])('refuses a key with bytes outside ASCII: %s', async (_what, value) => {
    const request = `GET /api/orders/1 HTTP/1.1\r\nHost: gateway\r\nX-API-Key: ${value}\r\nConnection: close\r\n\r\n`;
    const { text } = await unheard(() => sendRaw(gateway, request));
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
    expect(text).toContain('urn:gateway:problem:unknown-key');
  });

  test('takes the key without the white space HTTP allows around a value', async () => {
    const request = `GET /api/orders/1 HTTP/1.1\r\nHost: gateway\r\nX-API-Key: \t ${mobileKey} \t\r\nConnection: close\r\n\r\n`;
    expect((await sendRaw(gateway, request)).text).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('answers 400 to a space between the field name and the colon', async () => {
    const request = `GET /api/orders/1 HTTP/1.1\r\nHost: gateway\r\nX-API-Key : ${mobileKey}\r\nConnection: close\r\n\r\n`;
    expect((await unheard(() => sendRaw(gateway, request))).text).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('reads the field name in any letter case', async () => {
    for (const name of ['x-api-key', 'X-API-KEY', 'x-ApI-kEy']) {
      expect((await ask('/api/orders/1', { headers: { [name]: mobileKey } })).status).toBe(200);
    }
  });

  test('reads the key from X-API-Key and nowhere else', async () => {
    const elsewhere: http.OutgoingHttpHeaders[] = [
      { x_api_key: mobileKey },
      { 'API-Key': mobileKey },
      { Authorization: `Bearer ${mobileKey}` },
      { Authorization: `ApiKey ${mobileKey}` },
      { Cookie: `x-api-key=${mobileKey}` },
    ];
    for (const headers of elsewhere) {
      expectRefused(await unheard(() => ask('/api/orders/1', { headers })), 'key-required');
    }
    const target = `/api/orders/1?x-api-key=${mobileKey}&api_key=${mobileKey}&key=${mobileKey}`;
    expectRefused(await unheard(() => ask(target)), 'key-required');
  });

  test('takes an unknown value in x_api_key for no key at all', async () => {
    expect((await ask('/api/inventory/1', { headers: { x_api_key: unknownKey } })).status).toBe(200);
  });

  test('does not read a key that comes as a trailer', async () => {
    const request =
      'POST /api/orders/1 HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\nTrailer: X-API-Key\r\n' +
      `Connection: close\r\n\r\n1\r\na\r\n0\r\nX-API-Key: ${mobileKey}\r\n\r\n`;
    const { text } = await unheard(() => sendRaw(gateway, request));
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
    expect(text).toContain('urn:gateway:problem:key-required');
  });

  test('judges the key although Connection names the field', async () => {
    const headers = (value: string) => ({ 'X-API-Key': value, Connection: 'close, X-API-Key' });
    expect((await ask('/api/orders/1', { headers: headers(mobileKey) })).status).toBe(200);
    const answer = await unheard(() => ask('/api/inventory/1', { headers: headers(unknownKey) }));
    expectRefused(answer, 'unknown-key');
  });

  test('judges the key of a request that asks for an upgrade', async () => {
    const upgrade = { Connection: 'Upgrade', Upgrade: 'websocket', 'X-API-Key': unknownKey };
    expectRefused(await unheard(() => ask('/api/inventory/1', { headers: upgrade })), 'unknown-key');
  });

  test('judges every request of a kept connection by itself', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const statuses: number[] = [];
    for (const value of [mobileKey, undefined, unknownKey, partnerKey, undefined, '']) {
      const headers = value === undefined ? {} : { 'X-API-Key': value };
      statuses.push((await ask('/api/orders/1', { agent, headers })).status);
    }
    agent.destroy();
    expect(statuses).toEqual([200, 401, 401, 200, 401, 401]);
  });

  test('keeps many callers at once apart', async () => {
    const kinds = [
      { value: mobileKey, client: mobileId, status: 200 },
      { value: partnerKey, client: partnerId, status: 200 },
      { value: undefined, client: 'anonymous', status: 401 },
    ];
    const calls = Array.from({ length: 60 }, (_, i) => ({
      path: `/api/orders/mixed-${i}`,
      ...(kinds[i % 3] as (typeof kinds)[0]),
    }));
    await Promise.all(
      calls.map(async ({ path, value, status }) => {
        expect((await ask(path, value === undefined ? {} : key(value))).status).toBe(status);
      }),
    );
    for (const { path, client } of calls) expect(await logged(path)).toMatchObject({ client });
  });
});
