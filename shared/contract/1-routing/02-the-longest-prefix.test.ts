// Several routes can match one path: the one with the longest prefix wins, whatever their order in the
// config. A prefix matches whole segments, so /api/orders does not match /api/ordersX. The path of the
// service URL takes the place of the prefix.

import { describe, expect, test } from 'vitest';
import { expectRefused, forwarded } from './shop.ts';

describe('a prefix', () => {
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

  test('that is longer leaves its neighbours to the shorter one', async () => {
    expect(await forwarded('/api/orders/archived')).toEqual({ orders: ['/archived'] });
  });

  test('may begin like /health', async () => {
    expect(await forwarded('/healthy/x')).toEqual({ orders: ['/x'] });
  });
});
