// An open circuit closes by itself after cooldownMs, for all callers at once, and the count begins anew. A
// call that began before counts neither in this round nor in the next. A refused call is charged by the limit
// first, because the limit is an earlier stage.

import type http from 'node:http';
import { describe, expect, test } from 'vitest';
import { type Answer, expectProblem, type SendOptions, send, until } from '../harness/client.ts';
import { policyOf, quotaOf } from '../harness/rate-limit-fields.ts';
import { redisAvailable } from '../harness/redis.ts';
import { expectBegun } from '../harness/upstream.ts';
import {
  call,
  cooldownMs,
  expectFailures,
  expectLogged,
  expectOpen,
  gateway,
  hold,
  newService,
  outcome,
  quick,
  redis,
  status,
  threshold,
  trip,
  untilClosed,
} from './circuits.ts';

function give(response: http.ServerResponse | undefined, code: number): void {
  response?.writeHead(code).end();
}

describe.concurrent('the cooldown', () => {
  const secondsUntil = (end: number, now: number) => Math.max(1, Math.ceil((end - now) / 1_000));

  test('ends by itself, is not prolonged by refused calls, and the count begins anew', async () => {
    const service = newService();
    const { earliest, latest } = await trip(service, quick);
    const { answer, at, refusals } = await untilClosed(service);
    expect(answer.status).toBe(500);
    expect(at).toBeGreaterThanOrEqual(earliest + cooldownMs - 5);
    expect(refusals.length).toBeGreaterThan(0);
    for (const { sent, received, retryAfter } of refusals) {
      // The time left, rounded up, at some moment between the request and its answer.
      expect(retryAfter).toBeGreaterThanOrEqual(secondsUntil(earliest + cooldownMs - 5, received));
      expect(retryAfter).toBeLessThanOrEqual(secondsUntil(latest + cooldownMs + 5, sent));
    }
    await expectFailures(service, 1, quick);
    expectBegun(service.upstream, 2 * threshold);
  });

  test('ends for all requests at once: no request is sent ahead to probe', async () => {
    const service = newService();
    const { latest } = await trip(service, quick);
    const { held, count } = hold(service);
    await until(() => Date.now() > latest + cooldownMs + 5, 'the cooldown is over');
    const calls = Array.from({ length: 10 }, () => outcome(service, {}, quick));
    await count(10);
    for (const response of held) give(response, 200);
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 10 }, () => 200));
  });

  test('ends in full: a success brings the service back for good', async () => {
    const service = newService();
    await trip(service, quick);
    service.behave(status(200));
    expect((await untilClosed(service)).answer.status).toBe(200);
    await expectFailures(service, 0, quick);
  });

  test('is not ended by a success that began before', async () => {
    const service = newService();
    const { held, count } = hold(service);
    const late = outcome(service, {}, quick);
    await count(1);
    const { earliest } = await trip(service, quick);
    give(held[0], 200);
    expect(await late).toBe(200);
    const { at, refusals } = await untilClosed(service);
    expect(refusals.length).toBeGreaterThan(0);
    expect(at).toBeGreaterThanOrEqual(earliest + cooldownMs - 5);
  });

  test('is not prolonged by failures that began before, nor are they counted in the next round', async () => {
    const service = newService();
    const { held, count } = hold(service);
    const late = Array.from({ length: 4 }, () => outcome(service, {}, quick));
    await count(4);
    const { latest } = await trip(service, quick);
    const secondLeft = latest + cooldownMs - 1_000;
    await until(() => Date.now() > secondLeft, 'a second of the cooldown is left');
    give(held[0], 500);
    held[1]?.socket?.destroy();
    expect(await Promise.all(late.slice(0, 2))).toEqual([500, 502]);
    const { answer, refusals } = await untilClosed(service);
    expect(answer.status).toBe(500);
    // Less than a second was left. A restarted cooldown would give 2.
    expect(new Set(refusals.map(({ retryAfter }) => retryAfter))).toEqual(new Set([1]));
    // One failure of this round is counted. These two calls began in the previous round and are not.
    give(held[2], 503);
    held[3]?.socket?.destroy();
    expect(await Promise.all(late.slice(2))).toEqual([503, 502]);
    await expectFailures(service, 1, quick);
    await expectLogged('circuit opened', service, 2);
  });

  test('is followed by a round in which a success that began before resets nothing', async () => {
    const service = newService();
    const { held, count } = hold(service);
    const late = outcome(service, {}, quick);
    await count(1);
    await trip(service, quick);
    expect((await untilClosed(service)).answer.status).toBe(500);
    expect(await outcome(service, {}, quick)).toBe(500);
    give(held[0], 200);
    expect(await late).toBe(200);
    await expectFailures(service, 2, quick);
  });

  test('begins once when many calls fail together, and each gets its own answer', async () => {
    const service = newService();
    const { held, count } = hold(service);
    const calls = Array.from({ length: 4 * threshold }, () => outcome(service, {}, quick));
    await count(calls.length);
    for (const response of held) give(response, 500);
    expect(await Promise.all(calls)).toEqual(calls.map(() => 500));
    expectOpen(await call(service, {}, quick));
    await expectLogged('circuit opened', service, 1);
    service.behave(status(500));
    await untilClosed(service);
    await expectFailures(service, 1, quick);
  });
});

describe('the limit', () => {
  const as = (key: string): SendOptions => ({ headers: { 'X-API-Key': key } });

  test('is charged before the circuit is asked, and 429 comes before 503', async () => {
    const service = newService();
    service.behave(status(500));
    for (let i = 0; i < threshold; i++) expect((await send(gateway, service.target)).status).toBe(500);
    for (let left = 5; left >= 0; left--) {
      const answer = await send(gateway, service.target, as('key-a'));
      expect(expectOpen(answer)).toBeGreaterThan(20);
      expect(policyOf(answer)).toEqual({ policy: 'identified', limit: 6, windowSeconds: 60 });
      expect(quotaOf(answer)).toMatchObject({ policy: 'identified', remaining: left });
    }
    expectProblem(await send(gateway, service.target, as('key-a')), 429, 'rate-limited');
    expectBegun(service.upstream, threshold);
  });

  test('and the other refusals of the gateway are no failures', async () => {
    const service = newService();
    const refused: number[] = [];
    for (let i = 0; i < 6 + 2 * threshold; i++) {
      refused.push((await send(gateway, service.target, as('key-b'))).status);
    }
    expect(refused.slice(0, 6)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(new Set(refused.slice(6))).toEqual(new Set([429]));
    for (let i = 0; i < 2 * threshold; i++) {
      expect((await send(gateway, service.target, as('wrong'))).status).toBe(401);
      expect((await send(gateway, `/${service.name}/%2e%2e/x`)).status).toBe(400);
    }
    expect((await send(gateway, service.target)).status).toBe(200);
  });

  test('that the refused request has used up delays Retry-After to the later of the two', async () => {
    const service = newService();
    await trip(service);
    const answers: Answer[] = [];
    for (let i = 0; i < 6; i++) answers.push(await send(gateway, service.target, as('key-d')));
    const last = answers.pop() as Answer;
    // The cooldown ends before the window.
    for (const answer of answers) expect(expectOpen(answer)).toBeLessThanOrEqual(30);
    const { remaining, seconds } = quotaOf(last);
    expect(remaining).toBe(0);
    expect(expectOpen(last)).toBe(seconds);
  });

  test.skipIf(!redisAvailable)('shares Redis with no circuit', async () => {
    // Only the quick gateway uses a real Redis. On a busy machine it may treat Redis as lost for a moment.
    const { target } = newService();
    const isCounted = async () => (await send(quick, target)).headers.ratelimit !== undefined;
    await until(isCounted, 'a call is counted');
    const names = (await redis?.command('KEYS', '*')) as string[];
    expect(names).toContain('gateway:{address:127.0.0.1}');
    expect(names.join()).not.toMatch(/circuit|breaker|service|patient|hasty/);
  });
});
