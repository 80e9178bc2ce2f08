import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../process/ports.ts';
import { type Admin, startObserved } from './harness/admin.ts';
import { expectProblem, send } from './harness/client.ts';
import { configFor, type Gateway } from './harness/gateway.ts';
import { startUpstream, type Upstream } from './harness/upstream.ts';

interface Observed {
  gateway: Gateway;
  admin: Admin;
}

const key = { 'X-API-Key': 'the-key' };
const decisions = 'gateway_rate_limit_decisions_total';
const all: Observed[] = [];
let service: Upstream;

beforeAll(async () => {
  service = await startUpstream();
});

afterAll(() => Promise.all(all.map(({ gateway }) => gateway.stop())));

async function start(whenRedisFails: 'allow' | 'reject', redisUrl: string): Promise<Observed> {
  const observed = await startObserved(
    configFor(
      {
        services: { a: { url: service.url, timeoutMs: 5_000 } },
        routes: [
          { prefix: '/a', service: 'a' },
          { prefix: '/locked', service: 'a', access: 'protected' },
        ],
        clients: [{ id: 'client-1', keySha256: [createHash('sha256').update('the-key').digest('hex')] }],
        rateLimit: {
          identified: { limit: 3, windowMs: 600_000 },
          anonymous: { limit: 2, windowMs: 600_000 },
          whenRedisFails,
        },
      },
      5,
    ),
    { env: { REDIS_URL: redisUrl } },
  );
  all.push(observed);
  return observed;
}

const ask = ({ gateway }: Observed, headers: Record<string, string> = {}, target = '/a/1') =>
  send(gateway, target, { headers });

describe('with a limit', () => {
  let observed: Observed;

  beforeAll(async () => {
    observed = await start('allow', '');
  });

  test('every decision is counted by its class', async () => {
    for (const status of [200, 200, 200, 429, 429]) expect((await ask(observed, key)).status).toBe(status);
    for (const status of [200, 200, 429]) expect((await ask(observed)).status).toBe(status);
    const metrics = await observed.admin.expectSamples(decisions, { decision: 'allowed' }, [
      { labels: { class: 'identified', decision: 'allowed' }, value: 3 },
      { labels: { class: 'anonymous', decision: 'allowed' }, value: 2 },
    ]);
    expect(metrics.total(decisions, { class: 'identified', decision: 'limited' })).toBe(2);
    expect(metrics.total(decisions, { class: 'anonymous', decision: 'limited' })).toBe(1);
    expect(metrics.total(decisions)).toBe(8);
  });

  test('its refusals are counted by client', async () => {
    const reason = 'rate-limited';
    await observed.admin.expectSamples('gateway_refusals_total', {}, [
      { labels: { stage: 'limit', reason, client: 'client-1' }, value: 2 },
      { labels: { stage: 'limit', reason, client: 'anonymous' }, value: 1 },
    ]);
  });

  test('what earlier stages refuse is no decision', async () => {
    expectProblem(await ask(observed, { 'X-API-Key': 'wrong' }), 401, 'unknown-key');
    expectProblem(await ask(observed, {}, '/locked'), 401, 'key-required');
    expectProblem(await ask(observed, {}, '/nowhere'), 404, 'no-route');
    const metrics = await observed.admin.expectSamples('gateway_refusals_total', { stage: 'route' }, [
      { labels: { stage: 'route', reason: 'no-route', client: 'anonymous' }, value: 1 },
    ]);
    expect(metrics.total(decisions)).toBe(8);
  });

  test('the counting is timed', async () => {
    const { types, total } = await observed.admin.scrape();
    expect(types.get('gateway_redis_duration_seconds')).toBe('histogram');
    expect(total('gateway_redis_duration_seconds_count')).toBeGreaterThanOrEqual(8);
    expect(total('gateway_redis_duration_seconds_sum')).toBeGreaterThan(0);
  });
});

describe('without its Redis', () => {
  const unreached = async () => `redis://127.0.0.1:${await freePort()}`;
  const down = [{ labels: {}, value: 0 }];

  test('a gateway that allows is ready, and counts what it lets pass uncounted', async () => {
    const observed = await start('allow', await unreached());
    const { admin } = observed;
    for (let i = 0; i < 4; i++) expect((await ask(observed, key)).status).toBe(200);
    for (let i = 0; i < 3; i++) expect((await ask(observed)).status).toBe(200);
    await admin.expectSamples('gateway_redis_up', {}, down);
    await admin.expectSamples(decisions, {}, [
      { labels: { class: 'identified', decision: 'degraded_allowed' }, value: 4 },
      { labels: { class: 'anonymous', decision: 'degraded_allowed' }, value: 3 },
    ]);
    await admin.expectSamples('gateway_refusals_total', {}, []);
    expect(await admin.ask('/ready')).toEqual({ status: 200, body: { ready: true, missing: [] } });
  });

  test('a gateway that rejects is not ready, says what is missing, and counts what it refuses', async () => {
    const observed = await start('reject', await unreached());
    const { gateway, admin } = observed;
    const notReady = { status: 503, body: { ready: false, missing: ['redis'] } };
    await expect.poll(() => admin.ask('/ready')).toEqual(notReady);
    const reason = 'rate-limit-unavailable';
    for (let i = 0; i < 4; i++) expectProblem(await ask(observed, key), 503, reason);
    for (let i = 0; i < 3; i++) expectProblem(await ask(observed), 503, reason);
    await admin.expectSamples(decisions, {}, [
      { labels: { class: 'identified', decision: 'degraded_rejected' }, value: 4 },
      { labels: { class: 'anonymous', decision: 'degraded_rejected' }, value: 3 },
    ]);
    const metrics = await admin.expectSamples('gateway_refusals_total', {}, [
      { labels: { stage: 'limit', reason, client: 'client-1' }, value: 4 },
      { labels: { stage: 'limit', reason, client: 'anonymous' }, value: 3 },
    ]);
    expect(metrics.find('gateway_redis_up')).toEqual(down);
    expect(metrics.total('gateway_http_requests_total', { status: '503', source: 'gateway' })).toBe(7);
    // /health answers 200 while /ready answers 503.
    expect(await admin.ask('/health')).toEqual({ status: 200, body: { status: 'ok' } });
    expect((await send(gateway, '/health')).status).toBe(200);
    expect(await admin.ask('/ready')).toEqual(notReady);
  });
});
