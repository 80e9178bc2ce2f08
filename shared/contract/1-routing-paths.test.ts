import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { answersIn, expectProblem, send, sendRaw } from './harness/client.ts';
import { configFor, type Gateway, startGateway } from './harness/gateway.ts';
import { startUpstream, type Upstream } from './harness/upstream.ts';

let gateway: Gateway;
let orders: Upstream;
let archive: Upstream;
let inventory: Upstream;

beforeAll(async () => {
  [orders, archive, inventory] = await Promise.all([startUpstream(), startUpstream(), startUpstream()]);
  gateway = await startGateway(
    configFor({
      services: {
        orders: { url: orders.url, timeoutMs: 5_000 },
        ordersWithSlash: { url: `${orders.url}/`, timeoutMs: 5_000 },
        archive: { url: archive.url, timeoutMs: 5_000 },
        inventory: { url: `${inventory.url}/v2/stock`, timeoutMs: 5_000 },
      },
      routes: [
        { prefix: '/api/orders', service: 'orders' },
        { prefix: '/api/orders/archive', service: 'archive' },
        { prefix: '/api/inventory', service: 'inventory' },
        { prefix: '/slash', service: 'ordersWithSlash' },
        { prefix: '/healthy', service: 'orders' },
      ],
    }),
  );
});

beforeEach(() => {
  for (const upstream of [orders, archive, inventory]) upstream.seen.length = 0;
});

/** Requests this target from the gateway and returns the targets that each service received. */
async function forwarded(target: string): Promise<Record<string, string[]>> {
  const answer = await send(gateway, target);
  expect(answer.status).toBe(200);
  const received: Record<string, string[]> = {};
  for (const [name, upstream] of Object.entries({ orders, archive, inventory })) {
    if (upstream.seen.length > 0) received[name] = upstream.seen.map((seen) => seen.target);
  }
  return received;
}

/** Number of requests begun at all services together. */
function calls(): number {
  return orders.begun() + archive.begun() + inventory.begun();
}

/** Number of connections made to all services together. */
function connections(): number {
  return orders.connections() + archive.connections() + inventory.connections();
}

async function expectRefused(target: string, status: number, name: string): Promise<void> {
  const before = { calls: calls(), connections: connections() };
  expectProblem(await send(gateway, target), status, name);
  expect({ calls: calls(), connections: connections() }).toEqual(before);
}

describe('a prefix', () => {
  test.each([
    ['/api/orders', '/'],
    ['/api/orders/', '/'],
    ['/api/orders/42', '/42'],
    ['/api/orders/42/', '/42/'],
    ['/api/orders?x=1', '/?x=1'],
    ['/api/orders/?x=1', '/?x=1'],
    ['/api/orders?', '/?'],
  ])('is taken off: %s reaches the service as %s', async (target, expected) => {
    expect(await forwarded(target)).toEqual({ orders: [expected] });
  });

  test.each([
    ['/api/inventory', '/v2/stock'],
    ['/api/inventory/', '/v2/stock/'],
    ['/api/inventory/7', '/v2/stock/7'],
    ['/api/inventory?x=1', '/v2/stock?x=1'],
    ['/api/inventory/v2/stock', '/v2/stock/v2/stock'],
  ])('is replaced by the path of the service URL: %s reaches it as %s', async (target, expected) => {
    expect(await forwarded(target)).toEqual({ inventory: [expected] });
  });

  test.each([
    ['/slash', '/'],
    ['/slash/x', '/x'],
    ['/slash?q', '/?q'],
  ])('is replaced by nothing when the service URL ends in a bare slash: %s', async (target, expected) => {
    expect(await forwarded(target)).toEqual({ orders: [expected] });
  });

  test('is taken off once, and only from the front', async () => {
    expect(await forwarded('/api/orders/api/orders/x')).toEqual({ orders: ['/api/orders/x'] });
  });

  test.each([
    '/api/ordersX',
    '/api/orders;v=1',
    '/api/orders-old/1',
    '/api/orders.json',
    '/api',
    '/x/api/orders',
    '//api/orders',
  ])('ends at a segment boundary: 404 for %s', async (target) => {
    await expectRefused(target, 404, 'no-route');
  });

  test.each(['/API/orders', '/api/Orders/1'])('is case-sensitive: 404 for %s', async (target) => {
    await expectRefused(target, 404, 'no-route');
  });

  test('that is longer wins, whatever the order in the config', async () => {
    expect(await forwarded('/api/orders/archive/2020')).toEqual({ archive: ['/2020'] });
  });

  test('that is longer wins for its bare path with a query, too', async () => {
    expect(await forwarded('/api/orders/archive?year=2020')).toEqual({ archive: ['/?year=2020'] });
  });

  test('that is longer is the one that the service learns in X-Forwarded-Prefix', async () => {
    for (const path of ['/x', '/archive/x']) await send(gateway, `/api/orders${path}`);
    const prefixes = [...orders.seen, ...archive.seen].map(({ headers }) => headers['x-forwarded-prefix']);
    expect(prefixes).toEqual(['/api/orders', '/api/orders/archive']);
  });

  test('that is longer leaves its neighbours to the shorter one', async () => {
    expect(await forwarded('/api/orders/archived')).toEqual({ orders: ['/archived'] });
  });

  test('may begin like /health', async () => {
    expect(await forwarded('/healthy/x')).toEqual({ orders: ['/x'] });
  });

  test.each([
    ['/%61pi/orders/x%2Fy?q=%61', '/x%2Fy?q=%61'],
    ['/api/%6Frders', '/'],
    ['/api/%6frders?x=%2F', '/?x=%2F'],
    ['/api/orders/%61', '/%61'],
  ])('matches in any spelling, and the rest stays verbatim: %s', async (target, expected) => {
    expect(await forwarded(target)).toEqual({ orders: [expected] });
  });

  test('in another spelling still finds the longest match', async () => {
    expect(await forwarded('/api/orders/%61rchive/x')).toEqual({ archive: ['/x'] });
  });

  test('is not matched across an escaped slash', async () => {
    await expectRefused('/api%2Forders/x', 404, 'no-route');
  });
});

describe('the rest of the target', () => {
  test.each([
    'a%2Fb',
    'a%2fb',
    'a%5Cb',
    'a%00b',
    'a%3Fb%23c',
    'a%20b+c',
    'a;b=c,d',
    "~!$&'()*+,;=:@-._",
    'caf%C3%A9',
    '%7Euser',
    'x..y',
    'http:/evil.example',
    '%252e%252e/secret',
    '%252e%252e%252fsecret',
    'a[b]|{c}^`"<d>',
  ])('reaches the service byte for byte: /%s', async (path) => {
    expect(await forwarded(`/api/orders/${path}`)).toEqual({ orders: [`/${path}`] });
  });

  test.each([
    '?a=1&a=2&b=3&a=4',
    '?q=a+b%20c',
    '?a?b=c?',
    '?',
    '??',
    '?&&=&a&b=',
    '?next=/../x/./y&t=%2e%2e%2f',
    '?url=http://evil.example//x',
    '?json={"a":[1]}',
    '?%C3%A9=%c3%a9',
    '?__proto__=1&constructor=2',
  ])('keeps its query byte for byte: %s', async (query) => {
    expect(await forwarded(`/api/orders/x${query}`)).toEqual({ orders: [`/x${query}`] });
  });

  test('may be long', async () => {
    const path = `/${'segment/'.repeat(500)}${'x'.repeat(4_000)}?${'y'.repeat(4_000)}`;
    expect(await forwarded(`/api/orders${path}`)).toEqual({ orders: [path] });
  });

  test.each(['//evil.example/x', '//evil.example:80/x', '/http://evil.example/x', '/@evil.example/x'])(
    'never chooses another host: %s stays a path or is refused',
    async (path) => {
      const answer = await send(gateway, `/api/orders${path}`);
      if (answer.status === 400) expectProblem(answer, 400, 'bad-request');
      else expect(orders.seen.map((seen) => seen.target)).toEqual([path]);
    },
  );
});

describe('a raw byte outside ASCII', () => {
  test('reaches the service as it is, or is refused', async () => {
    const { text } = await sendRaw(
      gateway,
      'GET /api/orders/caf\xc3\xa9?q=\xe9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    const [answer] = answersIn(text);
    if (answer?.status === 400) expectProblem(answer, 400, 'bad-request');
    else expect(orders.seen.map((seen) => seen.target)).toEqual(['/caf\xc3\xa9?q=\xe9']);
  });
});

describe('a dot segment', () => {
  test.each([
    '/api/orders/..',
    '/api/orders/../x',
    '/api/orders/x/../y',
    '/api/orders/x/..?q',
    '/api/orders/%2e%2e/x',
    '/api/orders/%2E%2E/x',
    '/api/orders/%2e%2E',
    '/api/orders/.%2e/x',
    '/api/orders/%2e./x',
    '/api/orders/..%2fx',
    '/api/orders/..%2Fx',
    '/api/orders/..%5cx',
    '/api/orders/..%5Cx',
    '/api/orders/%2e%2e%2fx',
    '/api/orders/x%2f..%2fy',
    '/api/orders/x%5c..%5cy',
    '/api/orders/x%2f..',
    '/api/orders/..\\x',
    '/api/orders/x\\..\\y',
    '/api/orders/..;/x',
    '/api/orders/%2e%2e;/x',
    '/api/orders/..;a=b/x',
    '/api/orders/.',
    '/api/orders/./x',
    '/api/orders/%2e/x',
    '/api/orders/.%2fx',
    '/api/inventory/../orders/x',
    '/api/inventory/../../secret',
    '/api/inventory/%2e%2e/%2e%2e/secret',
    '/api/./orders/x',
    '/../api/orders/x',
    '/%2e%2e/api/orders/x',
    '/nowhere/../x',
  ])('is refused with 400 before any service is called: %s', async (target) => {
    await expectRefused(target, 400, 'bad-request');
  });
});

describe('a target', () => {
  test.each([
    ['a fragment', '/api/orders/x#top'],
    ['a fragment behind the query', '/api/orders/x?q=1#top'],
    ['a fragment behind the prefix', '/api/orders#top'],
    ['a raw backslash', '/api/orders/a\\b'],
    ['a percent sign that escapes nothing', '/api/orders/%zz'],
    ['half an escape', '/api/orders/%2'],
    ['a lonely percent sign', '/api/orders/100%'],
    ['an absolute URL', 'http://evil.example/api/orders/x'],
    ['an absolute URL in capitals', 'HTTP://evil.example/api/orders/x'],
    ['an absolute URL of another scheme', 'ftp://evil.example/api/orders/x'],
    ['a path without its first slash', 'api/orders/x'],
  ])('with %s is refused with 400, and no service is called: %s', async (_, target) => {
    await expectRefused(target, 400, 'bad-request');
  });

  test.each(['/', '/nowhere', '/nowhere?x=1', '/api/nowhere/', '/constructor', '/__proto__/x'])(
    'that no prefix matches gets 404 at once, and no service is called: %s',
    async (target) => {
      await expectRefused(target, 404, 'no-route');
    },
  );

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'QUERY'])(
    'that no prefix matches gets the same 404 for %s',
    async (method) => {
      const before = connections();
      expectProblem(await send(gateway, '/nowhere', { method, body: 'some body' }), 404, 'no-route');
      expect(connections()).toBe(before);
    },
  );

  test('that no prefix matches gets 404 without a body for HEAD', async () => {
    const answer = await send(gateway, '/nowhere', { method: 'HEAD' });
    expect([answer.status, answer.text]).toEqual([404, '']);
  });

  test('of * is refused, and no service is called', async () => {
    const before = connections();
    const { text } = await sendRaw(gateway, 'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect([400, 404]).toContain(answersIn(text)[0]?.status);
    expect(connections()).toBe(before);
  });

  test('that is refused leaves the connection in order for the next request', async () => {
    const get = (target: string) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const { text } = await sendRaw(
      gateway,
      get('/nowhere') + get('/api/orders/../x') + get('/api/orders/fine'),
      { until: (received) => answersIn(received).length === 3 },
    );
    expect(answersIn(text).map((answer) => answer.status)).toEqual([404, 400, 200]);
  });
});

describe('a method', () => {
  test('TRACE is not proxied', async () => {
    const before = connections();
    expectProblem(await send(gateway, '/api/orders/x', { method: 'TRACE' }), 404, 'no-route');
    expect(connections()).toBe(before);
  });

  test('CONNECT is not proxied', async () => {
    const before = connections();
    const { text, closed } = await sendRaw(
      gateway,
      `CONNECT 127.0.0.1:${orders.port} HTTP/1.1\r\nHost: 127.0.0.1:${orders.port}\r\n\r\n`,
    );
    expect(closed).toBe(true);
    expect(text).not.toMatch(/^HTTP\/1\.1 2/);
    expect(connections()).toBe(before);
  });
});
