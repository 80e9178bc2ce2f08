// Each route is public or protected, and a protected route needs a known key. The access of the matched route
// decides, so that no other spelling of the path avoids it. Earlier stages answer first: a missing route is
// 404, whatever the key.

import { describe, expect, test } from 'vitest';
import { expectProblem } from '../harness/client.ts';
import { ask, expectRefused, key, mobileKey, unheard, unknownKey, vault } from './callers.ts';

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

  test('keeps a service from callers without a known key, whatever the key and the spelling', async () => {
    const targets = ['/vault/1', '/vault?x=1', '/vault%2f1', '/%76ault/1', '//vault/1', '/vault/../vault/1'];
    for (const options of [{}, key(''), key(unknownKey), key([unknownKey, unknownKey])])
      await Promise.all(targets.map((target) => ask(target, options)));
    expect([vault.begun(), vault.connections()]).toEqual([0, 0]);
  });
});
