// What follows the prefix reaches the service byte for byte, because a path that is decoded or tidied up can
// mean something else. The prefix matches in every spelling, so that no spelling avoids a route. A target
// that two servers could read in two ways, such as one with dot segments, gets 400 before any service is
// called.

import { describe, expect, test } from 'vitest';
import { answersIn, expectProblem, send, sendRaw } from '../harness/client.ts';
import { expectRefused, forwarded, orders, shop, watchServices } from './shop.ts';

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
      const answer = await send(shop, `/api/orders${path}`);
      if (answer.status === 400) expectProblem(answer, 400, 'bad-request');
      else expect(orders.seen.map((seen) => seen.target)).toEqual([path]);
    },
  );
});

describe('a prefix', () => {
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

  test('of * is refused, and no service is called', async () => {
    const expectNoCall = watchServices();
    const { text } = await sendRaw(shop, 'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expectNoCall();
    expect([400, 404]).toContain(answersIn(text)[0]?.status);
  });

  test('that is refused leaves the connection in order for the next request', async () => {
    const get = (target: string) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const { text } = await sendRaw(
      shop,
      get('/nowhere') + get('/api/orders/../x') + get('/api/orders/fine'),
      { until: (received) => answersIn(received).length === 3 },
    );
    expect(answersIn(text).map((answer) => answer.status)).toEqual([404, 400, 200]);
  });
});

describe('a raw byte outside ASCII', () => {
  test('reaches the service as it is, or is refused', async () => {
    const { text } = await sendRaw(
      shop,
      'GET /api/orders/caf\xc3\xa9?q=\xe9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    const [answer] = answersIn(text);
    if (answer?.status === 400) expectProblem(answer, 400, 'bad-request');
    else expect(orders.seen.map((seen) => seen.target)).toEqual(['/caf\xc3\xa9?q=\xe9']);
  });
});
