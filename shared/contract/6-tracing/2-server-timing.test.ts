// Server-Timing tells the client how long each stage of the gateway took, so that it can see where its time
// went. It is off by default, because it shows what is inside. A refusal names the stages that ran, the one
// that refused last.

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startObserved } from '../harness/admin.ts';
import { type Answer, expectProblem, type SendOptions, send } from '../harness/client.ts';
import { slowMs, startFaultyService } from '../harness/faulty-service.ts';
import { configFor, type Gateway, startAndFail } from '../harness/gateway.ts';
import { deadUrl, startUpstream, type Upstream } from '../harness/upstream.ts';

const key = 'the-key';
// Of a client whose limit one sentence uses up.
const spentKey = 'the-spent-key';
const digest = (text: string) => createHash('sha256').update(text).digest('hex');
const hastyMs = 300;
/** serverTiming is true. */
let timed: Gateway;
/** serverTiming is false. */
let untimed: Gateway;

beforeAll(async () => {
  const faulty = await startFaultyService();
  /** Sends its own Server-Timing, with as many header lines as the path says. */
  const timing: Upstream = await startUpstream((request, response) => {
    const lines = Array.from(
      { length: Number(request.url?.slice(1)) },
      (_, i) => `db-${i};dur=5.3;desc="a, b"`,
    );
    response.setHeader('server-timing', lines).end('ok');
  });
  const services = {
    a: { url: faulty.url, timeoutMs: 10_000 },
    hasty: { url: faulty.url, timeoutMs: hastyMs },
    failing: { url: faulty.url, timeoutMs: 10_000 },
    timing: { url: timing.url, timeoutMs: 10_000 },
    dead: { url: await deadUrl(), timeoutMs: 10_000 },
  };
  const start = (serverTiming: boolean) =>
    startObserved(
      configFor(
        {
          services,
          routes: [
            ...Object.keys(services).map((name) => ({ prefix: `/${name}`, service: name })),
            { prefix: '/locked', service: 'a', access: 'protected' },
          ],
          clients: [
            { id: 'client-1', keySha256: [digest(key)] },
            { id: 'client-2', keySha256: [digest(spentKey)] },
          ],
          rateLimit: { identified: { limit: 2, windowMs: 600_000 } },
          circuitBreaker: { failureThreshold: 2, cooldownMs: 600_000 },
          serverTiming,
        },
        6,
      ),
    );
  [{ gateway: timed }, { gateway: untimed }] = await Promise.all([start(true), start(false)]);
});

afterAll(async () => {
  await Promise.all([timed?.stop(), untimed?.stop()]);
});

/** The header lines of Server-Timing in an answer. */
function linesOf({ rawHeaders }: Answer): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === 'server-timing');
}

/** Parses the gateway's own line into names and milliseconds, in order. */
function timesIn(line: string): Array<[name: string, ms: number]> {
  return line.split(', ').map((member) => {
    const [, name = '', ms] = /^([a-z]+);dur=(\d+(?:\.\d{1,3})?)$/.exec(member) ?? [];
    expect(name, `a member of ${line}`).not.toBe('');
    return [name, Number(ms)];
  });
}

/** Asserts that the answer has one line with exactly these stages and `total`. Returns their milliseconds. */
function expectStages(answer: Answer, ...stages: string[]): Record<string, number> {
  const lines = linesOf(answer);
  expect(lines).toHaveLength(1);
  const times = timesIn(lines[0] as string);
  expect(times.map(([name]) => name)).toEqual([...stages, 'total']);
  const { total = 0, ...parts } = Object.fromEntries(times);
  const sum = Object.values(parts).reduce((all, ms) => all + ms, 0);
  // Each number is rounded to 0.001 ms.
  expect(sum).toBeLessThanOrEqual(total + 0.001 * times.length);
  return { ...parts, total };
}

const through = ['route', 'identify', 'limit', 'circuit', 'upstream'];

describe.concurrent('a start is refused', () => {
  test.each(['true', 'absent'])('with serverTiming: %j in the config, which is named', async (value) => {
    const config = configFor(
      {
        services: { a: { url: 'http://127.0.0.1:9', timeoutMs: 1_000 } },
        routes: [{ prefix: '/a', service: 'a' }],
        serverTiming: value,
      },
      6,
    );
    if (value === 'absent') delete config.serverTiming;
    const { code, stdout, stderr } = await startAndFail(config);
    expect(code).toBe(1);
    expect(stderr).toContain('serverTiming');
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout).not.toContain('listening');
  });
});

describe('with serverTiming: true', () => {
  test.each<[string, SendOptions?]>([
    ['200'],
    ['204'],
    ['304'],
    ['404'],
    ['200', { method: 'HEAD' }],
    ['upload', { method: 'POST', body: 'x' }],
  ])('an answer names the stages in their order, and the total: %s %j', async (word, options) => {
    expectStages(await send(timed, `/a/${word}`, options), ...through);
  });

  test('an answer on a protected route does so, too', async () => {
    const answer = await send(timed, '/locked/200', { headers: { 'X-API-Key': key } });
    expect(answer.status).toBe(200);
    expectStages(answer, ...through);
  });

  test('upstream is the time to the header fields of the answer, in milliseconds', async () => {
    const begin = performance.now();
    const waited = expectStages(await send(timed, '/a/slow'), ...through);
    const most = performance.now() - begin;
    // A timer of Node may fire a millisecond early.
    expect(waited.upstream).toBeGreaterThan(slowMs - 5);
    expect(waited.total).toBeLessThan(most + 5);
    const streamed = expectStages(await send(timed, '/a/slow-body'), ...through);
    expect(streamed.upstream).toBeLessThan(slowMs);
  });

  const refusals: Array<[string, number, string, SendOptions, string[]]> = [
    ['no-route', 404, '/nowhere', {}, ['route']],
    ['no-route', 404, '/a/200', { method: 'TRACE' }, ['route']],
    ['unknown-key', 401, '/a/200', { headers: { 'X-API-Key': 'wrong' } }, ['route', 'identify']],
    ['key-required', 401, '/locked/200', {}, ['route', 'identify']],
    ['upstream-unreachable', 502, '/dead/x', {}, through],
    ['upstream-reset', 502, '/a/reset', {}, through],
  ];
  test.each(refusals)(
    'a refusal names the stages that ran: %s, %i, %s',
    async (reason, status, target, options, stages) => {
      const answer = await send(timed, target, options);
      expectProblem(answer, status, reason);
      expectStages(answer, ...stages);
    },
  );

  test('a refusal of the limit names it as the last', async () => {
    const headers = { 'X-API-Key': spentKey };
    await expect.poll(async () => (await send(timed, '/a/200', { headers })).status).toBe(429);
    const answer = await send(timed, '/a/200', { headers });
    expectProblem(answer, 429, 'rate-limited');
    expectStages(answer, 'route', 'identify', 'limit');
  });

  test('a refusal of an open circuit names it as the last', async () => {
    for (const status of [500, 500]) expect((await send(timed, '/failing/500')).status).toBe(status);
    const answer = await send(timed, '/failing/200');
    expectProblem(answer, 503, 'circuit-open');
    expectStages(answer, 'route', 'identify', 'limit', 'circuit');
  });

  test('a refusal of what is malformed has the total at least', async () => {
    for (const target of ['/a/%2e%2e/x', '/a/%zz']) {
      const answer = await send(timed, target);
      expectProblem(answer, 400, 'bad-request');
      expectStages(answer);
    }
  });

  test('a service that does not answer in time has used all its time', async () => {
    const answer = await send(timed, '/hasty/hang');
    expectProblem(answer, 504, 'upstream-timeout');
    expect(expectStages(answer, ...through).upstream).toBeGreaterThan(hastyMs - 5);
  });

  test.each([1, 2])('the service keeps what it says itself, %i times, in lines of its own', async (count) => {
    const lines = linesOf(await send(timed, `/timing/${count}`));
    const own = lines.filter((line) => line.startsWith('db-'));
    expect(own).toEqual(Array.from({ length: count }, (_, i) => `db-${i};dur=5.3;desc="a, b"`));
    expect(lines).toHaveLength(count + 1);
    const [line = ''] = lines.filter((test) => !own.includes(test));
    expect(timesIn(line).map(([name]) => name)).toEqual([...through, 'total']);
  });
});

describe('with serverTiming: false', () => {
  test.each(['/a/200', '/nowhere', '/locked/200', '/dead/x', '/a/%2e%2e/x', '/health'])(
    'the gateway adds none: %s',
    async (target) => {
      expect(linesOf(await send(untimed, target))).toEqual([]);
    },
  );

  test.each([1, 2])('that of the service passes, %i lines', async (count) => {
    expect(linesOf(await send(untimed, `/timing/${count}`))).toEqual(
      Array.from({ length: count }, (_, i) => `db-${i};dur=5.3;desc="a, b"`),
    );
  });
});
