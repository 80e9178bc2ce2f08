// The line of a request says all that is known about it: who asked, what was called, how long each part took,
// how many bytes were sent, and who failed. A call that failed has the code of its cause. A secret in the
// request is in no log, no metric and no answer.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, openMetrics, startObserved } from '../harness/admin.ts';
import { unvouched } from '../harness/certificates.ts';
import {
  type Answer,
  answersIn,
  connect,
  type SendOptions,
  send,
  sendRaw,
  until,
} from '../harness/client.ts';
import { beginning, slowMs, startFaultyService } from '../harness/faulty-service.ts';
import { configFor, type Gateway, level } from '../harness/gateway.ts';
import { type RedisServer, redisAvailable, startRedis } from '../harness/redis.ts';
import { joinTenants, makeTenants, type Tenant, type Tenants } from '../harness/tenants.ts';
import { deadUrl, startUpstream, type Upstream } from '../harness/upstream.ts';

let gateway: Gateway;
let tenants: Tenants;
let dead: Tenants;

beforeAll(async () => {
  const service = await startFaultyService();
  tenants = makeTenants('tenant', 20, service.url, 10_000);
  dead = makeTenants('dead', 1, await deadUrl(), 10_000);
  ({ gateway } = await startObserved(configFor(joinTenants(tenants, dead), 5)));
});

const ask = (tenant: Tenant, word: string, options: SendOptions = {}) =>
  send(gateway, `${tenant.prefix}/${word}`, { ...options, headers: tenant.headers });
const lineOf = (tenant: Tenant) =>
  gateway.waitForLog(({ msg, client }) => msg === 'request' && client === tenant.client);
const lineAt = (path: string) => gateway.waitForLog((line) => line.msg === 'request' && line.path === path);

const made = { id: expect.stringMatching(/^[\w.-]{1,128}$/) };

describe('the line of a request', () => {
  test('that a service answered has all there is to know, and no stage that refused', async () => {
    const tenant = tenants.next();
    const answer = await ask(tenant, 'slow?query=hidden');
    const line = await lineOf(tenant);
    expect(line).toEqual({
      level: 30,
      time: expect.any(Number),
      msg: 'request',
      ...made,
      ...(level >= 6 ? { traceId: expect.any(String) } : {}),
      method: 'GET',
      path: `${tenant.prefix}/slow`,
      route: tenant.prefix,
      service: tenant.service,
      client: tenant.client,
      address: '127.0.0.1',
      status: 200,
      source: 'upstream',
      durationMs: expect.any(Number),
      upstreamMs: expect.any(Number),
      bytesOut: answer.body.length,
      limit: 'allowed',
    });
    expect(line.id).toBe(answer.headers['x-request-id']);
    // A timer of Node may fire a millisecond early.
    expect(line.upstreamMs).toBeGreaterThan(slowMs - 5);
    expect(line.durationMs).toBeGreaterThanOrEqual(line.upstreamMs as number);
    expect(line.durationMs).toBeLessThan(slowMs + 3_000);
  });

  test.each([404, 500])('that a service answered with %i names the service as the source', async (status) => {
    const tenant = tenants.next();
    await ask(tenant, String(status));
    const line = await lineOf(tenant);
    expect(line).toMatchObject({ status, source: 'upstream', upstreamMs: expect.any(Number) });
    expect(line).not.toHaveProperty('refusedBy');
  });

  test.each<[string, string, SendOptions?]>([
    ['a status without a body', '204'],
    ['a 304', '304'],
    ['the answer to HEAD', '200', { method: 'HEAD' }],
  ])('counts no byte of body for %s', async (_what, word, options) => {
    const tenant = tenants.next();
    await ask(tenant, word, options);
    expect(await lineOf(tenant)).toMatchObject({ status: Number(word), bytesOut: 0 });
  });

  test('counts the bytes of the body, not those that frame it', async () => {
    const tenant = tenants.next();
    expect((await ask(tenant, 'chunks')).body).toHaveLength(100_000);
    expect(await lineOf(tenant)).toMatchObject({ status: 200, bytesOut: 100_000 });
  });

  test('whose answer was cut short has the status and the bytes that were sent', async () => {
    const tenant = tenants.next();
    await expect(ask(tenant, 'cut')).rejects.toThrow();
    expect(await lineOf(tenant)).toMatchObject({
      status: 200,
      source: 'upstream',
      refusedBy: 'forward',
      bytesOut: beginning.length,
      upstreamMs: expect.any(Number),
    });
  });

  test.each([
    ['/nowhere/1', 404, 'route', {}, { route: null, service: null }],
    ['/tenant-0/parse/%2e%2e/x', 400, 'parse', {}, {}],
    ['/tenant-0/parse/%zz', 400, 'parse', {}, {}],
    [
      '/tenant-0/identify',
      401,
      'identify',
      { 'X-API-Key': 'wrong' },
      { route: '/tenant-0', service: 'service-tenant-0' },
    ],
    ['/tenant-0/access', 401, 'access', {}, { route: '/tenant-0', client: 'anonymous' }],
  ])(
    'that was refused names the stage, and no service was called: %s',
    async (path, status, refusedBy, headers, more) => {
      const answer = await send(gateway, path, { headers });
      expect(answer.status).toBe(status);
      const line = await lineAt(path);
      expect(line).toMatchObject({
        ...made,
        method: 'GET',
        status,
        source: 'gateway',
        refusedBy,
        durationMs: expect.any(Number),
        upstreamMs: null,
        bytesOut: answer.body.length,
        ...more,
      });
      expect(line.id).toBe(answer.headers['x-request-id']);
      expect(line.id).toBe(answer.json().requestId);
    },
  );

  test('that failed at the service names the forward stage, and the gateway as the source', async () => {
    const tenant = dead.next();
    const answer = await ask(tenant, 'x');
    const line = await lineOf(tenant);
    expect(line).toMatchObject({
      ...made,
      status: 502,
      source: 'gateway',
      refusedBy: 'forward',
      upstreamMs: expect.any(Number),
      bytesOut: answer.body.length,
    });
    expect(line.id).toBe(answer.json().requestId);
  });

  test('that is none has an id, a status and the parser, and nothing else is known', async () => {
    const requests: Array<[bytes: string, status: number]> = [
      ['FETCH /tenant-0/hidden?secret HTTP/1.1\r\nHost: a\r\n\r\n', 400],
      ['POST /tenant-0/hidden HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\nX-Request-Id: mine\r\n\r\n', 400],
      [`GET /tenant-0/hidden HTTP/1.1\r\nHost: a\r\nX-Big: ${'a'.repeat(17_000)}\r\n\r\n`, 431],
    ];
    const ids: unknown[] = [];
    for (const [bytes, status] of requests) {
      const [answer] = answersIn((await sendRaw(gateway, bytes)).text);
      const id = answer?.headers['x-request-id'];
      expect(answer?.json().requestId).toBe(id);
      const line = await gateway.waitForLog((entry) => entry.id === id);
      expect(line).toMatchObject({
        level: 30,
        msg: 'request',
        id: made.id,
        method: null,
        path: null,
        route: null,
        service: null,
        client: null,
        status,
        source: 'gateway',
        refusedBy: 'parse',
        durationMs: expect.any(Number),
        upstreamMs: null,
      });
      ids.push(id);
    }
    expect(new Set(ids).size).toBe(requests.length);
    expect(gateway.log().filter(({ msg, path }) => msg === 'request' && path === null)).toHaveLength(
      requests.length,
    );
    expect(gateway.stdout()).not.toContain('hidden');
  });

  test('of the health check does not exist, and neither does one of a connection that says nothing', async () => {
    const before = gateway.log().length;
    await send(gateway, '/health');
    await sendRaw(gateway, '', { timeoutMs: 20 }).catch(() => {});
    await send(gateway, '/nowhere/last');
    await lineAt('/nowhere/last');
    expect(gateway.log().slice(before)).toMatchObject([{ path: '/nowhere/last' }]);
  });
});

describe('the line of a call that failed', () => {
  const server = https.createServer(unvouched);
  let gateway: Gateway;

  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const faulty = (await startFaultyService()).url;
    const urls = {
      faulty,
      hasty: faulty,
      dead: await deadUrl(),
      unknown: 'http://no-such-service.invalid',
      dubious: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    };
    const services = Object.fromEntries(
      Object.entries(urls).map(([name, url]) => [name, { url, timeoutMs: name === 'hasty' ? 300 : 10_000 }]),
    );
    const routes = Object.keys(urls).map((service) => ({ prefix: `/${service}`, service }));
    ({ gateway } = await startObserved(configFor({ services, routes }, 5)));
  });

  afterAll(() => server.close());

  const lineAt = (path: string) => gateway.waitForLog((line) => line.msg === 'request' && line.path === path);

  test.each([
    ['/dead/x', 502, /^ECONNREFUSED$/],
    ['/unknown/x', 502, /^(ENOTFOUND|EAI_AGAIN)$/],
    ['/dubious/x', 502, /CERT/],
    ['/faulty/reset', 502, /^ECONNRESET$/],
    ['/faulty/close', 502, /^[A-Z][A-Z_\d]+$/],
    ['/faulty/garbage', 502, /^[\w-]+$/],
    ['/faulty/large-headers', 502, /^[A-Z][A-Z_\d]+$/],
  ])('has the code of the cause: %s', async (path, status, code) => {
    expect((await send(gateway, path)).status).toBe(status);
    expect(await lineAt(path)).toMatchObject({
      status,
      refusedBy: 'forward',
      error: expect.stringMatching(code),
    });
  });

  test.each(['/faulty/cut', '/faulty/cut-chunks'])(
    'has it when the answer was cut short: %s',
    async (path) => {
      await expect(send(gateway, path)).rejects.toThrow();
      expect(await lineAt(path)).toMatchObject({ error: expect.stringMatching(/^[A-Z][A-Z_\d]+$/) });
    },
  );

  test('has none when the service was too slow, or the client disconnected, or the status is an error', async () => {
    expect((await send(gateway, '/hasty/hang')).status).toBe(504);
    expect(await lineAt('/hasty/hang')).not.toHaveProperty('error');
    const client = await connect(gateway);
    client.socket.write('GET /faulty/begin HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.received().includes(beginning), 'the answer has begun');
    client.socket.destroy();
    expect(await lineAt('/faulty/begin')).not.toHaveProperty('error');
    expect((await send(gateway, '/faulty/503')).status).toBe(503);
    expect(await lineAt('/faulty/503')).not.toHaveProperty('error');
  });

  test('has neither the address nor the name of a service', async () => {
    for (const path of ['/dead/hidden', '/unknown/hidden', '/dubious/hidden']) {
      expect((await send(gateway, path)).status).toBe(502);
      const { address: _client, ...line } = await lineAt(path);
      expect(JSON.stringify(line)).not.toMatch(/127\.0\.0\.1|no-such-service/);
    }
  });
});

describe('all lines together', () => {
  test('are one for each request', () => {
    const clients = [...tenants.taken, ...dead.taken].map(({ client }) => client);
    const lines = gateway.log().filter(({ msg }) => msg === 'request');
    expect(clients.map((client) => lines.filter((line) => line.client === client).length)).toEqual(
      clients.map(() => 1),
    );
    const ids = lines.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('are JSON, and stderr is empty', () => {
    expect(gateway.log().filter((line) => 'raw' in line)).toEqual([]);
    expect(gateway.stderr()).toBe('');
  });
});

describe('a secret sent in every possible place', () => {
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
