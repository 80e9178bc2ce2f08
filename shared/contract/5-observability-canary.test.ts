import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, openMetrics, startObserved } from './harness/admin.ts';
import { type Answer, send, sendRaw } from './harness/client.ts';
import { configFor, type Gateway } from './harness/gateway.ts';
import { type RedisServer, redisAvailable, startRedis } from './harness/redis.ts';
import { deadUrl, startUpstream, type Upstream } from './harness/upstream.ts';

// Every secret contains this word, so that one search finds any secret where none may appear.
const canary = 'canary';
const key = `demo-${canary}-key`;
const wrongKey = `demo-${canary}-wrong-key`;
const digest = (text: string) => createHash('sha256').update(text).digest('hex');

let service: Upstream;
let redis: RedisServer | undefined;
let gateway: Gateway;
let admin: Admin;
const answers: Answer[] = [];

beforeAll(async () => {
  [service, redis] = await Promise.all([
    startUpstream((request, response) => {
      request.on('end', () => {
        response.statusCode = request.url?.startsWith('/500') ? 500 : 200;
        response.end('ok');
      });
    }),
    redisAvailable ? startRedis() : undefined,
  ]);
  ({ gateway, admin } = await startObserved(
    configFor(
      {
        services: {
          a: { url: service.url, timeoutMs: 5_000 },
          failing: { url: service.url, timeoutMs: 5_000 },
          dead: { url: await deadUrl(), timeoutMs: 5_000 },
        },
        routes: [
          { prefix: '/a', service: 'a' },
          { prefix: '/locked', service: 'a', access: 'protected' },
          { prefix: '/failing', service: 'failing' },
          { prefix: '/dead', service: 'dead' },
        ],
        clients: [{ id: 'client-1', keySha256: [digest(key)] }],
        trustedProxies: ['127.0.0.1'],
        rateLimit: { anonymous: { limit: 2, windowMs: 600_000 } },
        circuitBreaker: { failureThreshold: 1, cooldownMs: 600_000 },
      },
      5,
    ),
    { env: { REDIS_URL: redis?.url ?? '' } },
  ));

  // Requests with every outcome. Each has a secret in every place except the path.
  const targets = [
    '/a/1',
    '/locked/1',
    '/failing/500',
    '/failing/1',
    '/dead/1',
    '/nowhere',
    '/a/%2e%2e/x',
    '/a/%zz',
  ];
  for (const target of targets) {
    for (const apiKey of [key, wrongKey, undefined]) {
      const answer = await send(gateway, `${target}?token=${canary}&x-api-key=${key}`, {
        method: 'POST',
        headers: {
          ...(apiKey ? { 'X-API-Key': apiKey } : {}),
          Authorization: `Bearer ${canary}`,
          'Proxy-Authorization': `Basic ${canary}`,
          Cookie: `session=${canary}`,
          'X-Request-Id': `${canary} ${key}`,
          'X-Forwarded-For': `${canary}, 203.0.113.1`,
          baggage: `token=${canary}`,
          'User-Agent': canary,
          Referer: `http://shop.example/?${canary}`,
        },
        body: canary,
      });
      answers.push(answer);
    }
  }
  const unparsed = [
    `GET /a/${canary}?${canary} HTTP/1.1\r\nHost: a\r\nX-API-Key: ${key}\r\nContent-Length: ${canary}\r\n\r\n`,
    `${canary.toUpperCase()} /a HTTP/1.1\r\nHost: a\r\n\r\n`,
    `GET /a HTTP/1.1\r\nHost: a\r\nX-Big: ${canary.repeat(3_000)}\r\n\r\n`,
  ];
  for (const bytes of unparsed)
    expect((await sendRaw(gateway, bytes)).text.toLowerCase()).not.toContain(canary);
  await send(gateway, '/nowhere/last');
  await gateway.waitForLog(({ path }) => path === '/nowhere/last');
});

afterAll(async () => {
  await gateway?.stop();
  await redis?.close();
});

/** Asserts that this text contains no secret and no digest of one. */
function expectClean(text: string): void {
  expect(text.toLowerCase()).not.toContain(canary);
  for (const secret of [key, wrongKey, canary]) expect(text).not.toContain(digest(secret));
}

describe('a secret sent in every possible place', () => {
  test('has met every fate', () => {
    const statuses = new Set(answers.map(({ status }) => status));
    expect([...statuses].sort()).toEqual([200, 400, 401, 404, 429, 500, 502, 503]);
  });

  test('is not in the log', () => {
    expect(gateway.log().filter(({ msg }) => msg === 'request').length).toBeGreaterThan(20);
    expectClean(gateway.stdout() + gateway.stderr());
  });

  test.each(['/metrics', '/circuits', '/ready', '/health'])('is not in %s', async (path) => {
    for (const accept of ['*/*', openMetrics]) {
      const answer = await send(admin, path, { headers: { Accept: accept } });
      expect(answer.status).toBe(200);
      expectClean(answer.text + answer.rawHeaders.join('\n'));
    }
  });

  test('is in no answer', () => {
    for (const { text, rawHeaders } of answers) expectClean(text + rawHeaders.join('\n'));
  });

  test('reaches the service where it is for the service, and nowhere else', () => {
    expect(service.seen.length).toBeGreaterThan(3);
    for (const { headers, body } of service.seen) {
      expect(headers).toMatchObject({ authorization: `Bearer ${canary}`, cookie: `session=${canary}` });
      expect(body.toString()).toBe(canary);
      expect(headers).not.toHaveProperty('x-api-key');
      expect(headers).not.toHaveProperty('proxy-authorization');
      expect(headers).toHaveProperty('x-request-id');
      expectClean(String(headers['x-request-id']));
    }
  });

  test.skipIf(!redisAvailable)('is not in Redis', async () => {
    const names = (await redis?.command('KEYS', '*')) as string[];
    expect(names.length).toBeGreaterThan(1);
    expectClean(names.join('\n'));
    for (const name of names) expectClean(String(await redis?.command('GET', name)));
  });
});
