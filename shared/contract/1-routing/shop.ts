// The gateway of a shop, for the steps about routes and targets. Importing this file starts it before the
// tests: its services echo what they get.

import { beforeAll, beforeEach, expect } from 'vitest';
import { expectProblem, send } from '../harness/client.ts';
import { configFor, type Gateway, startGateway } from '../harness/gateway.ts';
import { countCalls, startUpstream, type Upstream } from '../harness/upstream.ts';

/** A gateway with nested prefixes, and with service URLs that have a path. */
export let shop: Gateway;
/** Behind /api/orders, /slash and /healthy. */
export let orders: Upstream;
/** Behind /api/orders/archive. */
export let archive: Upstream;
let inventory: Upstream;

beforeAll(async () => {
  [orders, archive, inventory] = await Promise.all([startUpstream(), startUpstream(), startUpstream()]);
  shop = await startGateway(
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
export async function forwarded(target: string): Promise<Record<string, string[]>> {
  const answer = await send(shop, target);
  expect(answer.status).toBe(200);
  const received: Record<string, string[]> = {};
  for (const [name, upstream] of Object.entries({ orders, archive, inventory })) {
    if (upstream.seen.length > 0) received[name] = upstream.seen.map((seen) => seen.target);
  }
  return received;
}

/** Begins to count what reaches the services. The returned function asserts that it was no call and no connection. */
export function watchServices(): () => void {
  const expectCalls = countCalls({ orders, archive, inventory }, { connections: true });
  return () => expectCalls(0);
}

/** Asserts that this target gets this problem, and that no service gets a call or a connection. */
export async function expectRefused(target: string, status: number, name: string): Promise<void> {
  const expectNoCall = watchServices();
  const answer = await send(shop, target);
  expectNoCall();
  expectProblem(answer, status, name);
}
