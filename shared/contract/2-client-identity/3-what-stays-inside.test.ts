// A key is a secret. It reaches no service, no response and no log, and neither does the id of the client,
// except in the log. The log names the client of each request, and the stage that refused it.

import { describe, expect, test } from 'vitest';
import { sendRaw } from '../harness/client.ts';
import {
  ask,
  canary,
  digest,
  gateway,
  inventory,
  key,
  logged,
  mobileId,
  mobileKey,
  mobileSpareKey,
  orders,
  partnerId,
  partnerKey,
  unknownKey,
} from './callers.ts';

// From phase 5 on the gateway adds these when a request lacks them, with different values for each request.
const sameRequest = {
  'X-Request-Id': 'same-request',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
};

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
    for (const value of [mobileKey, mobileSpareKey, partnerKey, unknownKey, [mobileKey, unknownKey]])
      await ask('/api/orders/log-keys', key(value));
    await ask(`/api/inventory/log-last?x-api-key=${unknownKey}`);
    await logged('/api/inventory/log-last');
    const output = gateway.stdout() + gateway.stderr();
    expect(output).not.toContain(canary);
    for (const secret of [mobileKey, mobileSpareKey, partnerKey, unknownKey]) {
      expect(output).not.toContain(digest(secret));
    }
  });
});
