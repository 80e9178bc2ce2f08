// A gateway stands between clients and services. A request whose path begins with the prefix of a route goes
// to the service of that route, without the prefix, and the response of the service goes back to the client.
// The gateway answers GET /health itself, and a path without a route gets 404.

import { describe, expect, test } from 'vitest';
import { expectProblem, send } from '../harness/client.ts';
import { gateway, serve } from './services.ts';
import { expectRefused, forwarded, shop, watchServices } from './shop.ts';

describe('health and log', () => {
  test('GET /health answers 200 {"status":"ok"}, whatever the services do', async () => {
    const answer = await send(gateway, '/health');
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toMatch(/^application\/json(;|$)/);
    expect(answer.json()).toEqual({ status: 'ok' });
  });
});

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

  test('is taken off once, and only from the front', async () => {
    expect(await forwarded('/api/orders/api/orders/x')).toEqual({ orders: ['/api/orders/x'] });
  });
});

describe('an answer', () => {
  test.each([200, 201, 202, 206, 400, 401, 403, 404, 405, 409, 418, 429, 500, 502, 503, 504, 599])(
    'of status %i passes untouched',
    async (status) => {
      serve((_, response) =>
        response.writeHead(status, { 'content-type': 'text/html', 'x-own': 'yes' }).end('<p>own</p>'),
      );
      const answer = await send(gateway, '/api/x');
      expect([answer.status, answer.text]).toEqual([status, '<p>own</p>']);
      expect([answer.headers['content-type'], answer.headers['x-own']]).toEqual(['text/html', 'yes']);
    },
  );
});

describe('a target', () => {
  test.each(['/', '/nowhere', '/nowhere?x=1', '/api/nowhere/', '/constructor', '/__proto__/x'])(
    'that no prefix matches gets 404 at once, and no service is called: %s',
    async (target) => {
      await expectRefused(target, 404, 'no-route');
    },
  );

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'QUERY'])(
    'that no prefix matches gets the same 404 for %s',
    async (method) => {
      const expectNoCall = watchServices();
      const answer = await send(shop, '/nowhere', { method, body: 'some body' });
      expectNoCall();
      expectProblem(answer, 404, 'no-route');
    },
  );

  test('that no prefix matches gets 404 without a body for HEAD', async () => {
    const answer = await send(shop, '/nowhere', { method: 'HEAD' });
    expect([answer.status, answer.text]).toEqual([404, '']);
  });
});
