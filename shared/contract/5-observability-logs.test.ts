import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startObserved } from './harness/admin.ts';
import { unvouched } from './harness/certificates.ts';
import { answersIn, connect, type SendOptions, send, sendRaw, until } from './harness/client.ts';
import { beginning, slowMs, startFaultyService } from './harness/faulty-service.ts';
import { configFor, type Gateway, level } from './harness/gateway.ts';
import { joinTenants, makeTenants, type Tenant, type Tenants } from './harness/tenants.ts';
import { deadUrl } from './harness/upstream.ts';

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
