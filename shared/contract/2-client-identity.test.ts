import { createHash } from 'node:crypto';
import http from 'node:http';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type Answer,
  expectProblem,
  type SendOptions,
  send,
  sendRaw,
  writeThenRead,
} from './harness/client.ts';
import { configFor, type Gateway, startAndFail, startGateway } from './harness/gateway.ts';
import { expectFair, startLoadProcess, uploadsInChunksOf } from './harness/load.ts';
import { startUpstream, type Upstream } from './harness/upstream.ts';

// Every key contains this word, so that one search finds any key where no key may appear.
const canary = 'canary';
const mobileKey = `demo-${canary}-mobile`;
const mobileSpareKey = `demo-${canary}-mobile-spare`;
const partnerKey = `demo-${canary}-partner`;
const unknownKey = `demo-${canary}-unknown`;
const mobileId = 'mobile-id-5b1f';
const partnerId = 'partner-id-90c2';

const digest = (key: string) => createHash('sha256').update(key).digest('hex');
const key = (value: string | string[]): SendOptions => ({ headers: { 'X-API-Key': value } });
// From phase 5 on the gateway adds these when a request lacks them, with different values for each request.
const sameRequest = {
  'X-Request-Id': 'same-request',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
};

let inventory: Upstream;
let orders: Upstream;
/** Behind a protected route. No request in this file may reach it. */
let vault: Upstream;
let gateway: Gateway;

beforeAll(async () => {
  [inventory, orders, vault] = await Promise.all([startUpstream(), startUpstream(), startUpstream()]);
  gateway = await startGateway(
    configFor(
      {
        services: {
          inventory: { url: inventory.url, timeoutMs: 5_000 },
          orders: { url: orders.url, timeoutMs: 5_000 },
          vault: { url: vault.url, timeoutMs: 5_000 },
        },
        routes: [
          { prefix: '/api/inventory', service: 'inventory', access: 'public' },
          { prefix: '/api/inventory/admin', service: 'vault', access: 'protected' },
          { prefix: '/api/orders', service: 'orders', access: 'protected' },
          { prefix: '/api/orders/status', service: 'inventory', access: 'public' },
          { prefix: '/vault', service: 'vault', access: 'protected' },
        ],
        clients: [
          { id: mobileId, keySha256: [digest(mobileKey), digest(mobileSpareKey)] },
          { id: partnerId, keySha256: [digest(partnerKey)] },
        ],
      },
      2,
    ),
  );
});

const ask = (target: string, options?: SendOptions): Promise<Answer> => send(gateway, target, options);

/** Asserts that no service gets a request or a connection during `act`. */
async function unheard<T>(act: () => Promise<T>): Promise<T> {
  const heard = () => [inventory, orders, vault].map((test) => [test.begun(), test.connections()]);
  const before = heard();
  const result = await act();
  expect(heard(), 'requests and connections per service').toEqual(before);
  return result;
}

function expectRefused(answer: Answer, name: 'unknown-key' | 'key-required'): void {
  expectProblem(answer, 401, name);
  expect(answer.headers['www-authenticate']).toBe('ApiKey realm="gateway"');
  expect(answer.text).not.toContain(canary);
}

const logged = (path: string) => gateway.waitForLog((line) => line.msg === 'request' && line.path === path);

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

describe('what is refused first', () => {
  test.each([{}, key(mobileKey), key(unknownKey), key(''), key([mobileKey, mobileKey])])(
    'answers 404 to an unknown path, whatever the key: %j',
    async (options) => {
      expectProblem(await unheard(() => ask('/api/nowhere', options)), 404, 'no-route');
    },
  );

  test('answers 400 to a path that climbs, whatever the key', async () => {
    for (const options of [{}, key(unknownKey)]) {
      expectProblem(await unheard(() => ask('/vault/%2e%2e/api/orders', options)), 400, 'bad-request');
    }
  });

  test('answers /health whatever the key', async () => {
    for (const options of [{}, key(unknownKey), key('')]) {
      expect((await ask('/health', options)).status).toBe(200);
    }
  });

  test('answers 401 unknown-key, not key-required, when both would do', async () => {
    expectRefused(await unheard(() => ask('/vault/1', key(unknownKey))), 'unknown-key');
  });

  test.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])(
    'needs a key for %s on a protected route',
    async (method) => {
      expectRefused(await unheard(() => ask('/api/orders/1', { method })), 'key-required');
      const answer = await ask('/api/orders/1', { method, ...key(mobileKey) });
      expect(answer.json().method).toBe(method);
    },
  );

  test('needs a key for a CORS preflight as well', async () => {
    const headers = { Origin: 'https://shop.example', 'Access-Control-Request-Method': 'GET' };
    expectRefused(await unheard(() => ask('/api/orders/1', { method: 'OPTIONS', headers })), 'key-required');
  });

  test('answers HEAD on a protected route 401 without a body', async () => {
    const answer = await unheard(() => ask('/api/orders/1', { method: 'HEAD' }));
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('ApiKey realm="gateway"');
    expect(answer.body.length).toBe(0);
  });
});

describe('access hangs on the matched route', () => {
  test('protects a route that lies under a public one', async () => {
    expectRefused(await unheard(() => ask('/api/inventory/admin')), 'key-required');
    expectRefused(await unheard(() => ask('/api/inventory/admin/1')), 'key-required');
    expectRefused(await unheard(() => ask('/api/inventory/admin?x=1')), 'key-required');
    expect((await ask('/api/inventory/administrators')).status).toBe(200);
  });

  test('opens a public route that lies under a protected one', async () => {
    expect((await ask('/api/orders/status/1')).json().target).toBe('/1');
    expect((await ask('/api/orders/status?x=1')).json().target).toBe('/?x=1');
    expectRefused(await unheard(() => ask('/api/orders/statuses')), 'key-required');
  });

  test.each([
    '/api/orders',
    '/api/orders/',
    '/api/orders?x=1',
    '/api/orders/?x=1',
    '/%61pi/orders/1',
    '/api/%6frders/1',
    '/api/%6Frder%73',
    '/api/orders%2f1',
    '/api/orders%2F1',
    '/api%2forders/1',
    '/api/orders;x=1/1',
    '/api/orders//1',
    '//api/orders/1',
    '/api//orders/1',
    '/API/orders/1',
    '/api/ORDERS/1',
    '/./api/orders/1',
    '/api/./orders/1',
    '/api/%2e/orders/1',
    '/api/inventory/../orders/1',
    '/api/inventory/%2e%2e/orders/1',
    '/api/inventory/..%2forders/1',
    '/api/inventory/..%5corders/1',
    '/api\\orders/1',
    '/api/orders%00/1',
    '/api/orders%20/1',
    '/api/%256frders/1',
    '/api/orders/status/../1',
    '/api/orders/status%2f..%2f1',
    '/api/orders/status/%2e%2e/1',
    '/api/%69nventory/admin/1',
    '/api/inventory/%61dmin/1',
    '/api/inventory/%61dmin',
    '/api/inventory/./admin/1',
    '/api/inventory/%2e/admin/1',
    '/api/inventory/admin/',
    '/vault/../vault/1',
    '/%76ault/1',
  ])('does not let %s slip past', async (target) => {
    const answer = await unheard(() => ask(target));
    expect([400, 401, 404]).toContain(answer.status);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  });
});

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
    await expectFair(gateway, '/api/inventory/1', await startLoadProcess(), {
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

describe('what stays inside', () => {
  test('never sends the key to a service, on any route, in any spelling', async () => {
    for (const name of ['X-API-Key', 'x-api-key', 'X-API-KEY', 'x-ApI-kEy']) {
      for (const to of ['/api/inventory/hidden', '/api/orders/hidden', '/api/orders/status/hidden']) {
        expect((await ask(to, { headers: [name, mobileKey], method: 'POST', body: 'b' })).status).toBe(200);
      }
    }
    const trailer =
      'POST /api/inventory/hidden HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n' +
      `Connection: close\r\n\r\n1\r\na\r\n0\r\nX-API-Key: ${mobileKey}\r\n\r\n`;
    expect((await sendRaw(gateway, trailer)).text).toMatch(/^HTTP\/1\.1 200 /);
    const hidden = [...inventory.seen, ...orders.seen].filter((seen) => seen.target === '/hidden');
    expect(hidden).toHaveLength(13);
    for (const { headers, rawHeaders } of hidden) {
      expect(headers).not.toHaveProperty('x-api-key');
      expect(rawHeaders.join('\n')).not.toContain(canary);
    }
  });

  test('tells a service nothing about who is asking', async () => {
    for (const value of [mobileKey, partnerKey]) {
      await ask('/api/orders/secret', { headers: { ...sameRequest, 'X-API-Key': value } });
    }
    const seen = orders.seen.filter(({ target }) => target === '/secret');
    expect(seen).toHaveLength(2);
    const [mobile, partner] = seen;
    // The headers must be equal: a header that differs would tell the service which client it is.
    expect(mobile?.rawHeaders).toEqual(partner?.rawHeaders);
    expect(JSON.stringify(seen)).not.toContain(mobileId);
    expect(JSON.stringify(seen)).not.toContain(digest(mobileKey));
  });

  test('tells the caller nothing about the identity it found', async () => {
    const answer = await ask('/api/orders/1', key(mobileKey));
    expect(answer.rawHeaders.join('\n')).not.toContain(mobileId);
    expect(answer.text).not.toContain(mobileId);
  });

  test('gives the same answer to every kind of wrong key', async () => {
    const answers = await Promise.all(
      [unknownKey, 'x', '', '__proto__'].map((test) =>
        ask('/vault/1', { headers: { ...sameRequest, 'X-API-Key': test } }),
      ),
    );
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  });
});

describe('the log', () => {
  test('names the client, whichever of its keys was used', async () => {
    await ask('/api/orders/log-first', key(mobileKey));
    await ask('/api/orders/log-spare', key(mobileSpareKey));
    await ask('/api/inventory/log-partner', key(partnerKey));
    const line = { msg: 'request', status: 200 };
    expect(await logged('/api/orders/log-first')).toMatchObject({ ...line, client: mobileId });
    expect(await logged('/api/orders/log-spare')).toMatchObject({ ...line, client: mobileId });
    expect(await logged('/api/inventory/log-partner')).toMatchObject({ ...line, client: partnerId });
    expect(await logged('/api/orders/log-first')).not.toHaveProperty('refusedBy');
  });

  test('names who came without a key anonymous', async () => {
    await ask('/api/inventory/log-anonymous');
    expect(await logged('/api/inventory/log-anonymous')).toMatchObject({ client: 'anonymous', status: 200 });
  });

  test('says which stage refused', async () => {
    await ask('/api/inventory/log-unknown', key(unknownKey));
    await ask('/api/inventory/log-empty', key(''));
    await ask('/api/orders/log-required');
    const unknown = { status: 401, refusedBy: 'identify', route: '/api/inventory', service: 'inventory' };
    expect(await logged('/api/inventory/log-unknown')).toMatchObject(unknown);
    expect(await logged('/api/inventory/log-empty')).toMatchObject(unknown);
    expect(await logged('/api/orders/log-required')).toMatchObject({
      status: 401,
      refusedBy: 'access',
      route: '/api/orders',
      service: 'orders',
      client: 'anonymous',
    });
  });

  test('holds no key and no digest of one, after all that was sent to this gateway', async () => {
    await ask(`/api/inventory/log-last?x-api-key=${unknownKey}`);
    await logged('/api/inventory/log-last');
    const output = gateway.stdout() + gateway.stderr();
    expect(output).not.toContain(canary);
    for (const secret of [mobileKey, mobileSpareKey, partnerKey, unknownKey]) {
      expect(output).not.toContain(digest(secret));
    }
  });
});

describe.concurrent('the config', () => {
  const routes = [{ prefix: '/a', service: 'a', access: 'public' as const }];
  const services = { a: { url: 'http://127.0.0.1:9', timeoutMs: 1_000 } };

  test('is refused with every bad field named, and without a key that was put where a digest belongs', async () => {
    const shared = digest('shared');
    const config = configFor(
      {
        services,
        routes: [
          ...routes,
          { prefix: '/b', service: 'a', access: 'open' as 'public' },
          { prefix: '/c', service: 'a', access: undefined },
          { prefix: '/d', service: 'a', access: 'Public' as 'public' },
        ],
        clients: [
          { id: 'good', keySha256: [digest('good'), shared] },
          { id: 'plain', keySha256: [mobileKey] },
          { id: 'short', keySha256: [shared.slice(1)] },
          { id: 'letters', keySha256: ['g'.repeat(64)] },
          { id: 'none', keySha256: [] },
          { id: 'text', keySha256: digest('text') },
          { id: '', keySha256: [digest('empty')] },
          { id: 'misspelt', keySha256: [digest('misspelt')], keys: [] },
        ],
      },
      2,
    );
    const { code, stderr, stdout } = await startAndFail(config);
    expect(code).toBe(1);
    for (const field of [
      'routes[1].access',
      'routes[2].access',
      'routes[3].access',
      'clients[1].keySha256[0]',
      'clients[2].keySha256[0]',
      'clients[3].keySha256[0]',
      'clients[4].keySha256',
      'clients[5].keySha256',
      'clients[6].id',
      'clients[7]',
    ]) {
      expect(stderr).toContain(field);
    }
    expect(stderr).toContain('keys');
    expect(stderr).not.toContain('routes[0]');
    expect(stderr).not.toContain('clients[0]');
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout + stderr).not.toContain(canary);
  });

  test('is refused when a client id or a digest is there twice, and says all of them at once', async () => {
    const twice = digest('twice');
    const config = configFor(
      {
        services,
        routes,
        clients: [
          { id: 'one', keySha256: [digest('one')] },
          { id: 'one', keySha256: [digest('another')] },
          { id: 'within', keySha256: [twice, twice] },
          { id: 'across', keySha256: [digest('one')] },
          { id: 'capitals', keySha256: [digest('another').toUpperCase()] },
        ],
      },
      2,
    );
    const { code, stderr } = await startAndFail(config);
    expect(code).toBe(1);
    // Each with the place that has it first.
    expect(stderr).toMatch(/^ *clients\[1\]\.id: .*\bclients\[0\].*"one"/m);
    expect(stderr).toMatch(/^ *clients\[2\]\.keySha256\[1\]: .*\bclients\[2\]\.keySha256\[0\]/m);
    expect(stderr).toMatch(/^ *clients\[3\]\.keySha256\[0\]: .*\bclients\[0\]\.keySha256\[0\]/m);
    expect(stderr).toContain('clients[4].keySha256[0]');
    for (const text of ['one', 'another', 'twice']) expect(stderr).not.toContain(digest(text));
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('is refused when ids are missing, and calls them missing, not repeated', async () => {
    const clients = ['one', 'two'].map((name) => ({ keySha256: [digest(name)] }));
    const { code, stderr } = await startAndFail(configFor({ services, routes, clients }, 2));
    expect(code).toBe(1);
    const lines = stderr.split(/\r?\n/).map((line) => line.trim());
    const fields = lines.filter((line) => line.startsWith('clients[')).map((line) => line.split(':', 1)[0]);
    expect({ fields, stderr }).toEqual({ fields: ['clients[0].id', 'clients[1].id'], stderr });
  });

  test('is refused without clients', async () => {
    const config = configFor({ services, routes }, 2);
    delete config.clients;
    const { code, stderr } = await startAndFail(config);
    expect(code).toBe(1);
    expect(stderr).toContain('clients');
  });

  test('may name no client at all: then no key is known', async () => {
    const lonely = await startGateway(
      configFor({ services: { a: { url: inventory.url, timeoutMs: 1_000 } }, routes, clients: [] }, 2),
    );
    expect((await send(lonely, '/a')).status).toBe(200);
    expectProblem(await send(lonely, '/a', key(mobileKey)), 401, 'unknown-key');
  });

  test('takes a digest in capitals for the same digest, or refuses it: it never stands there unused', async () => {
    const config = configFor(
      {
        services: { a: { url: orders.url, timeoutMs: 1_000 } },
        routes: [{ prefix: '/a', service: 'a', access: 'protected' }],
        clients: [{ id: 'capitals', keySha256: [digest(mobileKey).toUpperCase()] }],
      },
      2,
    );
    const outcome = await startGateway(config).catch((error: Error) => error);
    if (outcome instanceof Error) expect(outcome.message).toContain('clients[0].keySha256[0]');
    else expect((await send(outcome, '/a', key(mobileKey))).status).toBe(200);
  });
});

// Last, so that it covers all requests of this file.
describe('access hangs on the matched route', () => {
  test('keeps all that this file sends away from a service that nobody in it may use', () => {
    expect([vault.begun(), vault.connections()]).toEqual([0, 0]);
  });
});
