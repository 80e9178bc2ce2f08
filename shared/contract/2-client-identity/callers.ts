// A gateway with two clients and routes for all callers or for known ones. Importing this file starts it
// before the tests.

import { createHash } from 'node:crypto';
import { beforeAll, expect } from 'vitest';
import { type Answer, expectProblem, type SendOptions, send } from '../harness/client.ts';
import { configFor, type Gateway, startGateway } from '../harness/gateway.ts';
import { countCalls, startUpstream, type Upstream } from '../harness/upstream.ts';

/** Every key contains this word, so that one search finds any key where no key may appear. */
export const canary = 'canary';
/** One of the two keys of the mobile client. */
export const mobileKey = `demo-${canary}-mobile`;
/** The other key of the mobile client. */
export const mobileSpareKey = `demo-${canary}-mobile-spare`;
/** The key of the partner. */
export const partnerKey = `demo-${canary}-partner`;
/** A key of no client. */
export const unknownKey = `demo-${canary}-unknown`;
/** The id of the mobile client. */
export const mobileId = 'mobile-id-5b1f';
/** The id of the partner. */
export const partnerId = 'partner-id-90c2';

/** The SHA-256 digest of a key, as the config holds it. */
export const digest = (key: string) => createHash('sha256').update(key).digest('hex');
/** The options of a call with this key. */
export const key = (value: string | string[]): SendOptions => ({ headers: { 'X-API-Key': value } });

/** Behind public routes. */
export let inventory: Upstream;
/** Behind a protected route. */
export let orders: Upstream;
/** Behind a protected route. No request of a test may reach it. */
export let vault: Upstream;
/** The gateway with all of them. */
export let gateway: Gateway;

beforeAll(async () => {
  // Calls of a load may arrive after its test has ended, so they go to a service that `unheard` does not count.
  let load: Upstream;
  [inventory, orders, vault, load] = await Promise.all([
    startUpstream(),
    startUpstream(),
    startUpstream(),
    startUpstream(),
  ]);
  gateway = await startGateway(
    configFor(
      {
        services: {
          inventory: { url: inventory.url, timeoutMs: 5_000 },
          orders: { url: orders.url, timeoutMs: 5_000 },
          vault: { url: vault.url, timeoutMs: 5_000 },
          load: { url: load.url, timeoutMs: 5_000 },
        },
        routes: [
          { prefix: '/api/inventory', service: 'inventory', access: 'public' },
          { prefix: '/api/inventory/admin', service: 'vault', access: 'protected' },
          { prefix: '/api/orders', service: 'orders', access: 'protected' },
          { prefix: '/api/orders/status', service: 'inventory', access: 'public' },
          { prefix: '/vault', service: 'vault', access: 'protected' },
          { prefix: '/load', service: 'load', access: 'public' },
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

/** Sends a request to the gateway. */
export const ask = (target: string, options?: SendOptions): Promise<Answer> => send(gateway, target, options);

/** Asserts that no service gets a request or a connection during `act`. */
export async function unheard<T>(act: () => Promise<T>): Promise<T> {
  const expectCalls = countCalls({ inventory, orders, vault }, { connections: true });
  const result = await act();
  expectCalls(0);
  return result;
}

/** Asserts that the answer is this refusal, and that it contains no key. */
export function expectRefused(answer: Answer, name: 'unknown-key' | 'key-required'): void {
  expectProblem(answer, 401, name);
  expect(answer.headers['www-authenticate']).toBe('ApiKey realm="gateway"');
  expect(answer.text).not.toContain(canary);
}

/** The line of the request with this path. */
export const logged = (path: string) =>
  gateway.waitForLog((line) => line.msg === 'request' && line.path === path);
