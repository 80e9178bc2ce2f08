// Metrics count and time all requests, for Prometheus to collect from a listener of their own, which no
// client reaches. Labels have few values, because each combination is kept forever. 10,000 random requests
// add no series.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http, { METHODS } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Metrics, parseMetrics } from '../../metrics/prometheus-text.ts';
import { freePort } from '../../process/ports.ts';
import { type Admin, openMetrics, startObserved } from '../harness/admin.ts';
import {
  answersIn,
  connect,
  expectProblem,
  type SendOptions,
  send,
  sendRaw,
  until,
} from '../harness/client.ts';
import { slowMs, startFaultyService } from '../harness/faulty-service.ts';
import { configFor, type Gateway, level, startAndFail, startGateway } from '../harness/gateway.ts';
import { checkMetrics, promtoolAvailable } from '../harness/promtool.ts';
import { joinTenants, makeTenants, type Tenant, type Tenants } from '../harness/tenants.ts';
import { countCalls, startUpstream, type Upstream } from '../harness/upstream.ts';

/** A limit for "at once": below the 10 s that a stop may take, far above what an exit needs on an idle machine. */
const atOnceMs = 8_000;

const services = { a: { url: 'http://127.0.0.1:9', timeoutMs: 1_000 } };
const routes = [{ prefix: '/a', service: 'a' }];
const properConfig = () => configFor({ services, routes }, 5);

if (!promtoolAvailable) {
  console.warn(
    'Suite 5: promtool is not on PATH, so its check of the metrics is skipped. ' +
      'Get it with: apt-get install prometheus, or brew install prometheus.',
  );
}

let gateway: Gateway;
let admin: Admin;
let tenants: Tenants;
/** It holds its answers until the test sends them. */
let waiting: Upstream;
let held: http.ServerResponse[];
/** The first scrape, before any request. */
let first: Metrics;

beforeAll(async () => {
  const service = await startFaultyService();
  held = [];
  waiting = await startUpstream((_request, response) => void held.push(response));
  tenants = makeTenants('tenant', 30, service.url, 10_000);
  const { services, routes, clients } = joinTenants(tenants, makeTenants('held', 1, waiting.url, 30_000));
  ({ gateway, admin } = await startObserved(
    configFor(
      {
        services,
        routes: [
          ...routes,
          { prefix: '/public', service: 'service-tenant-0', access: 'public' },
          { prefix: '/called-once', service: 'service-tenant-0', access: 'public' },
        ],
        clients,
        circuitBreaker: { failureThreshold: 2, cooldownMs: 60_000 },
      },
      5,
    ),
  ));
  first = await admin.scrape();
  // Skips tenant 0, because the public routes lead to its service, too.
  tenants.next();
});

afterAll(() => gateway?.stop());

const ask = (tenant: Tenant, word: string, options: SendOptions = {}) =>
  send(gateway, `${tenant.prefix}/${word}`, {
    ...options,
    headers: { ...tenant.headers, ...options.headers },
  });

const requests = 'gateway_http_requests_total';
const refusals = 'gateway_refusals_total';
const durations = 'gateway_http_request_duration_seconds';
const upstreamDurations = 'gateway_upstream_duration_seconds';
const overheads = 'gateway_overhead_seconds';

describe.concurrent('a start is refused', () => {
  async function expectRefused(env: Record<string, string>, ...parts: string[]): Promise<void> {
    const { code, stdout, stderr } = await startAndFail(properConfig(), { env });
    expect(code).toBe(1);
    for (const part of parts) expect(stderr).toContain(part);
    expect(stderr).not.toMatch(/^\s+at |node:internal|ZodError/m);
    expect(stdout).not.toContain('listening');
  }

  test.each(['http', '70000'])('with the ADMIN_PORT %s, which is named', async (port) => {
    await expectRefused({ ADMIN_PORT: port }, 'ADMIN_PORT');
  });

  test('with a bad ADMIN_PORT and a bad PORT, which are both named', async () => {
    await expectRefused({ PORT: 'http', ADMIN_PORT: 'http' }, '\n  PORT', '\n  ADMIN_PORT');
  });

  test('when the admin port is in use, with host and port', async () => {
    const occupant = net.createServer().listen(0, '127.0.0.1');
    await once(occupant, 'listening');
    const { port } = occupant.address() as AddressInfo;
    await expectRefused({ ADMIN_PORT: String(port) }, `127.0.0.1:${port}`);
    occupant.close();
  });

  test('when the admin port is that of the gateway', async () => {
    const port = String(await freePort());
    await expectRefused({ PORT: port, ADMIN_PORT: port }, `127.0.0.1:${port}`);
  });

  test('when ADMIN_HOST is no address of this machine', async () => {
    const port = String(await freePort());
    await expectRefused({ ADMIN_HOST: '192.0.2.1', ADMIN_PORT: port }, `192.0.2.1:${port}`);
  });
});

describe('the environment', () => {
  test('without ADMIN_PORT means 9464', async () => {
    // When another process uses that port, the start fails with a message that names it.
    const outcome = await startGateway(properConfig(), { env: { ADMIN_PORT: '' } }).catch(
      (error: Error) => error,
    );
    if (outcome instanceof Error) {
      expect(outcome.message).toContain('127.0.0.1:9464');
    } else {
      const line = await outcome.waitForLog(({ msg }) => msg === 'admin listening');
      expect(line.url).toBe('http://127.0.0.1:9464');
      await outcome.stop();
    }
  });

  test('says by ADMIN_HOST and ADMIN_PORT where the admin listener is', async () => {
    const port = await freePort();
    const env = { ADMIN_HOST: 'localhost', ADMIN_PORT: String(port) };
    const gateway = await startGateway(properConfig(), { env });
    const line = await gateway.waitForLog(({ msg }) => msg === 'admin listening');
    expect(new URL(String(line.url)).port).toBe(String(port));
    expect((await send({ host: 'localhost', port }, '/health')).json()).toEqual({ status: 'ok' });
    await gateway.stop();
  });
});

describe('the admin listener', () => {
  let gateway: Gateway;
  let admin: Admin;
  let service: Upstream;

  beforeAll(async () => {
    service = await startUpstream();
    ({ gateway, admin } = await start());
  });

  afterAll(() => gateway?.stop());

  const start = () =>
    startObserved(
      configFor(
        {
          services: { a: { url: service.url, timeoutMs: 5_000 } },
          routes: [
            { prefix: '/a', service: 'a' },
            { prefix: '/circuits', service: 'a' },
          ],
          rateLimit: { whenRedisFails: 'reject' },
        },
        5,
      ),
    );

  test('has a line of its own in the log, beside that of the gateway', async () => {
    const lines = gateway.log().filter(({ msg }) => /listening$/.test(String(msg)));
    expect(lines.map(({ level, msg, url }) => ({ level, msg, url }))).toEqual([
      { level: 30, msg: 'listening', url: gateway.url },
      { level: 30, msg: 'admin listening', url: admin.url },
    ]);
    expect(admin.port).not.toBe(gateway.port);
  });

  test.each([
    ['/health', { status: 'ok' }],
    ['/ready', { ready: true, missing: [] }],
    ['/circuits', { a: { state: 'closed', failuresInARow: 0, closesInMs: 0 } }],
  ])('answers GET %s', async (path, body) => {
    expect(await admin.ask(path)).toEqual({ status: 200, body });
  });

  test.each(['/health', '/ready', '/circuits', '/metrics'])(
    'answers HEAD %s without a body',
    async (path) => {
      const [head, get] = await Promise.all([send(admin, path, { method: 'HEAD' }), send(admin, path)]);
      expect([head.status, head.text]).toEqual([200, '']);
      expect(head.headers['content-type']).toBe(get.headers['content-type']);
    },
  );

  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'])(
    'answers %s with 404, wherever',
    async (method) => {
      for (const path of ['/health', '/ready', '/circuits', '/metrics']) {
        const body = method.startsWith('P') ? 'x'.repeat(10_000) : undefined;
        expectNoRoute(await send(admin, path, { method, body }));
      }
    },
  );

  test.each([
    ['JSON that is none', 'application/json', '{'],
    ['an unknown type', 'application/x-unheard-of', 'x'],
  ])('looks at no body before it answers 404: %s', async (_what, type, body) => {
    for (const path of ['/metrics', '/nowhere']) {
      expectNoRoute(await send(admin, path, { method: 'POST', headers: { 'Content-Type': type }, body }));
    }
  });

  test.each(['/', '/a/1', '/nowhere', '/metrics/', '/metrics/x', '/METRICS', '/_faults', '//metrics'])(
    'answers GET %s with 404',
    async (path) => {
      const expectCalls = countCalls({ service });
      expectNoRoute(await send(admin, path));
      expectCalls(0);
    },
  );

  function expectNoRoute(answer: Awaited<ReturnType<typeof send>>): void {
    expect(answer.status).toBe(404);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json(;|$)/);
    expect(answer.json()).toMatchObject({ type: 'urn:gateway:problem:no-route', status: 404 });
  }

  test.each(['/metrics', '/ready', '/metrics?x=1', '//metrics', '/%6detrics', '/ready/'])(
    'is not reached through the port of the gateway: %s',
    async (path) => {
      const answer = await send(gateway, path, { headers: { host: `127.0.0.1:${admin.port}` } });
      expectProblem(answer, 404, 'no-route');
      expect(answer.text).not.toMatch(/gateway_|nodejs_|missing/);
    },
  );

  test('takes no path away from the routes', async () => {
    const answer = await send(gateway, '/circuits/1');
    expect([answer.status, answer.json().target]).toEqual([200, '/1']);
  });

  test('neither logs what it is asked nor breaks when that is no HTTP', async () => {
    await sendRaw(admin, 'nonsense\r\n\r\n');
    await sendRaw(admin, `GET /metrics HTTP/1.1\r\nHost: a\r\nX-Big: ${'a'.repeat(17_000)}\r\n\r\n`);
    await admin.ask('/health');
    await send(admin, '/asked-of-admin');
    await send(gateway, '/a/after-admin');
    await gateway.waitForLog(({ path }) => path === '/a/after-admin');
    const paths = gateway.log().flatMap(({ msg, path }) => (msg === 'request' ? [path] : []));
    expect(paths.filter((path) => !/^\/(a|circuits|metrics|ready|%6d|\/)/.test(String(path)))).toEqual([]);
    expect(gateway.stdout()).not.toContain('/asked-of-admin');
  });

  test('holds up no stop, though its connections are kept alive', async () => {
    const { gateway, admin } = await start();
    const agent = new http.Agent({ keepAlive: true });
    await send(admin, '/metrics', { agent });
    const mute = await connect(admin);
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    expect(gateway.stderr()).toBe('');
    await until(() => mute.closed(), 'the connection is closed');
    agent.destroy();
  });
});

describe('a gateway that drains', () => {
  test('is not ready from the signal on, and serves requests until DRAIN_DELAY_MS is over', async () => {
    const service = await startUpstream();
    const { gateway, admin } = await startObserved(
      configFor({ services: { a: { url: service.url, timeoutMs: 30_000 } }, routes }, 5),
      { env: { DRAIN_DELAY_MS: '5000' } },
    );
    const stopped = gateway.stop();
    await gateway.waitForLog(({ msg }) => msg === 'stopping');
    expect(await admin.ask('/ready')).toEqual({
      status: 503,
      body: { ready: false, missing: ['draining'] },
    });
    expect((await send(gateway, '/a/1')).status).toBe(200);
    expect(await stopped).toMatchObject({ code: 0, signal: null });
  });

  test('is not ready from the signal on, and can be asked until the drain is over', async () => {
    let finish = () => {};
    const service = await startUpstream((_request, response) => {
      response.write('begun ');
      finish = () => void response.end('finished');
    });
    const { gateway, admin } = await startObserved(
      configFor({ services: { a: { url: service.url, timeoutMs: 30_000 } }, routes }, 5),
    );
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    expect((await send(admin, '/ready', { agent })).status).toBe(200);
    const client = await connect(gateway);
    client.socket.write('GET /a/1 HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.received().includes('begun'), 'the answer has begun');

    const stopped = gateway.stop();
    await gateway.waitForLog(({ msg }) => msg === 'stopping');
    for (let i = 0; i < 3; i++) {
      expect(await admin.ask('/ready')).toEqual({
        status: 503,
        body: { ready: false, missing: ['draining'] },
      });
    }
    expect((await admin.ask('/circuits')).status).toBe(200);
    const metrics = await admin.scrape();
    expect(metrics.find('gateway_requests_in_flight')).toEqual([{ labels: {}, value: 1 }]);

    finish();
    const { code, ms } = await stopped;
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    expect(client.received()).toContain('finished');
    await expect(send(admin, '/health')).rejects.toThrow();
    agent.destroy();
  });
});

describe('before the first request', () => {
  test('nothing is counted and nothing is in flight', () => {
    for (const name of [requests, refusals, `${durations}_count`, `${upstreamDurations}_count`])
      expect(first.total(name), name).toBe(0);
    expect(first.find('gateway_requests_in_flight')).toEqual([{ labels: {}, value: 0 }]);
  });

  test('the circuits of all services are there, closed', () => {
    const services = Object.keys(tenants.parts.services);
    for (const name of [
      'gateway_circuit_open',
      'gateway_circuit_openings_total',
      'gateway_circuit_rejections_total',
    ]) {
      const samples = first.find(name);
      expect(samples.map(({ labels }) => labels.service)).toEqual(expect.arrayContaining(services));
      expect(samples).toEqual(
        samples.map(({ labels }) => ({ labels: { service: labels.service }, value: 0 })),
      );
    }
  });

  test('Redis is up, also the embedded one', () => {
    expect(first.find('gateway_redis_up')).toEqual([{ labels: {}, value: 1 }]);
  });

  test('it is known what is running', () => {
    const [info, ...others] = first.find('gateway_build_info');
    expect(others).toEqual([]);
    expect(info).toEqual({
      labels: {
        version: expect.stringMatching(/\S/),
        phase: expect.stringMatching(new RegExp(`^${Math.max(level, 5)}-\\w+`)),
        node: expect.stringMatching(/^v\d+\.\d+\.\d+$/),
      },
      value: 1,
    });
  });

  test.each([
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'process_start_time_seconds',
    'nodejs_eventloop_lag_seconds',
    'nodejs_eventloop_lag_p99_seconds',
    'nodejs_heap_size_used_bytes',
  ])('Node tells of itself: %s', (name) => {
    expect(first.find(name)).toHaveLength(1);
  });
});

describe('an answer of a service', () => {
  test.each([200, 204, 304, 404, 418])('%i is counted with its labels, and timed', async (status) => {
    const tenant = tenants.next();
    const { prefix: route, service, client } = tenant;
    expect((await ask(tenant, String(status))).status).toBe(status);
    await admin.expectSamples(requests, { route }, [
      {
        labels: { route, service, method: 'GET', status: String(status), client, source: 'upstream' },
        value: 1,
      },
    ]);
    const status_class = `${Math.floor(status / 100)}xx`;
    await admin.expectSamples(`${durations}_count`, { route }, [
      { labels: { route, method: 'GET', status_class }, value: 1 },
    ]);
    await admin.expectSamples(`${overheads}_count`, { route }, [{ labels: { route }, value: 1 }]);
    await admin.expectSamples(`${upstreamDurations}_count`, { service }, [
      { labels: { service, outcome: 'ok' }, value: 1 },
    ]);
  });

  test('to a caller without a key is counted as anonymous', async () => {
    const route = '/called-once';
    await send(gateway, '/called-once/200');
    await admin.expectSamples(requests, { route }, [
      {
        labels: {
          route,
          service: 'service-tenant-0',
          method: 'GET',
          status: '200',
          client: 'anonymous',
          source: 'upstream',
        },
        value: 1,
      },
    ]);
  });

  test('is timed in seconds, the wait for its header fields included', async () => {
    await expectTimes(tenants.next(), 'slow');
  });

  test('is timed in seconds, to the end of its body', async () => {
    await expectTimes(tenants.next(), 'slow-body');
  });

  /** Asserts that the delay of a slow service counts as upstream time, not as overhead of the gateway. */
  async function expectTimes(tenant: Tenant, word: string): Promise<void> {
    const { prefix: route, service } = tenant;
    const begin = performance.now();
    await ask(tenant, word);
    const seconds = (performance.now() - begin) / 1_000;
    await admin.expectSamples(`${durations}_count`, { route }, [
      { labels: { route, method: 'GET', status_class: '2xx' }, value: 1 },
    ]);
    const { total } = await admin.expectSamples(`${overheads}_count`, { route }, [
      { labels: { route }, value: 1 },
    ]);
    const [all, upstream, overhead] = [
      total(`${durations}_sum`, { route }),
      total(`${upstreamDurations}_sum`, { service }),
      total(`${overheads}_sum`, { route }),
    ];
    // A timer of Node may fire a millisecond early.
    expect(upstream).toBeGreaterThan((slowMs - 5) / 1_000);
    expect(all).toBeGreaterThanOrEqual(upstream);
    expect(all).toBeLessThan(seconds + 0.2);
    expect(overhead).toBeGreaterThanOrEqual(0);
    expect(Math.abs(all - upstream - overhead), 'total minus upstream').toBeLessThan(0.002);
  }
});

describe('the label method', () => {
  test.each([
    ['GET', 'GET'],
    ['HEAD', 'HEAD'],
    ['POST', 'POST'],
    ['PUT', 'PUT'],
    ['PATCH', 'PATCH'],
    ['DELETE', 'DELETE'],
    ['OPTIONS', 'OPTIONS'],
    ['PROPFIND', 'OTHER'],
    ['MKCOL', 'OTHER'],
    ['PURGE', 'OTHER'],
    ['REPORT', 'OTHER'],
  ])('of %s is %s', async (sent, method) => {
    const route = '/public';
    const before = await admin.scrape();
    const labels = { route, method, status: '200', source: 'upstream' };
    expect((await send(gateway, '/public/200', { method: sent })).status).toBe(200);
    await admin.expectGrowth(before, requests, labels, 1);
    await admin.expectGrowth(before, `${durations}_count`, { route, method }, 1);
  });

  test('of TRACE is TRACE, though it is not forwarded', async () => {
    const before = await admin.scrape();
    expectProblem(await send(gateway, '/public/200', { method: 'TRACE' }), 404, 'no-route');
    await admin.expectGrowth(before, requests, { method: 'TRACE', status: '404', source: 'gateway' }, 1);
  });
});

describe('a refusal', () => {
  const none = { route: 'none', service: 'none', client: 'anonymous' };
  const tenant0 = { route: '/tenant-0', service: 'service-tenant-0', client: 'anonymous' };
  const cases: Array<
    [
      stage: string,
      reason: string,
      status: number,
      target: string,
      options: SendOptions,
      labels: Record<string, string>,
    ]
  > = [
    ['parse', 'bad-request', 400, '/tenant-0/%2e%2e/x', {}, { client: 'anonymous' }],
    ['parse', 'bad-request', 400, '/tenant-0/%zz', {}, { client: 'anonymous' }],
    ['parse', 'bad-request', 400, '*', { method: 'OPTIONS' }, { client: 'anonymous' }],
    ['route', 'no-route', 404, '/nowhere', {}, none],
    ['route', 'no-route', 404, '/tenant-00', {}, none],
    ['identify', 'unknown-key', 401, '/tenant-0/200', { headers: { 'X-API-Key': 'wrong' } }, tenant0],
    ['access', 'key-required', 401, '/tenant-0/200', {}, tenant0],
  ];

  test.each(cases)(
    'of stage %s, %s, is counted as %i: %s %j',
    async (stage, reason, status, target, options, labels) => {
      const before = await admin.scrape();
      expectProblem(await send(gateway, target, options), status, reason);
      const { method = 'GET' } = options;
      const labelled = { ...labels, status: String(status), source: 'gateway', method };
      await admin.expectGrowth(before, requests, labelled, 1);
      const after = await admin.expectGrowth(before, refusals, { stage, reason, client: 'anonymous' }, 1);
      expect(after.total(requests) - before.total(requests)).toBe(1);
      expect(after.total(refusals) - before.total(refusals)).toBe(1);
      // The refusal is timed too, and all of its time is overhead.
      const grown = (name: string) => after.total(name) - before.total(name);
      expect([grown(`${durations}_count`), grown(`${overheads}_count`)]).toEqual([1, 1]);
      expect(grown(`${overheads}_sum`)).toBeCloseTo(grown(`${durations}_sum`), 3);
      expect(grown(`${upstreamDurations}_count`)).toBe(0);
    },
  );

  test('of a known client is counted under its id', async () => {
    const tenant = tenants.next();
    const { client, prefix: route, service } = tenant;
    for (const status of [500, 500, 503]) expect((await ask(tenant, '500')).status).toBe(status);
    const stage = 'circuit';
    const reason = 'circuit-open';
    const metrics = await admin.expectSamples(refusals, { client }, [
      { labels: { stage, reason, client }, value: 1 },
    ]);
    const labels = { route, service, method: 'GET', client };
    expect(metrics.find(requests, { client, status: '503' })).toEqual([
      { labels: { ...labels, status: '503', source: 'gateway' }, value: 1 },
    ]);
    expect(metrics.find(requests, { client, status: '500' })).toEqual([
      { labels: { ...labels, status: '500', source: 'upstream' }, value: 2 },
    ]);
    // The refused call did not reach the service, so it has no upstream time.
    expect(metrics.find(`${upstreamDurations}_count`, { service })).toEqual([
      { labels: { service, outcome: 'http_5xx' }, value: 2 },
    ]);
  });
});

describe('what is not even a request', () => {
  const cases: Array<[what: string, bytes: string, status: number, reason: string]> = [
    [
      'broken framing',
      'POST /public/200 HTTP/1.1\r\nHost: a\r\nContent-Length: five\r\n\r\n',
      400,
      'bad-request',
    ],
    [
      'two lengths',
      'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
      'bad-request',
    ],
    ['an unknown method', 'FETCH /public/200 HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'bad-request'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n\r\n', 400, 'bad-request'],
    [
      'huge headers',
      `GET /x HTTP/1.1\r\nHost: a\r\nX-Big: ${'a'.repeat(17_000)}\r\n\r\n`,
      431,
      'headers-too-large',
    ],
  ];

  test.each(cases)('counts once: %s', async (_what, bytes, status, reason) => {
    const before = await admin.scrape();
    const { text } = await sendRaw(gateway, bytes);
    expect(text).toContain(`urn:gateway:problem:${reason}`);
    await admin.expectGrowth(before, refusals, { stage: 'parse', reason, client: 'anonymous' }, 1);
    const labels = {
      route: 'none',
      service: 'none',
      method: 'OTHER',
      status: String(status),
      client: 'anonymous',
      source: 'gateway',
    };
    const after = await admin.expectGrowth(before, requests, labels, 1);
    expect(after.total(requests) - before.total(requests)).toBe(1);
    expect(after.total(refusals) - before.total(refusals)).toBe(1);
  });

  test('counts beside the proper request before it on the same connection', async () => {
    const before = await admin.scrape();
    const { text } = await sendRaw(gateway, 'GET /public/200 HTTP/1.1\r\nHost: a\r\n\r\n', {
      until: (received) => received.includes('this is 200'),
    });
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
    const client = await connect(gateway);
    client.socket.write('GET /public/200 HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => client.received().includes('this is 200'), 'the answer');
    client.socket.write('nonsense\r\n\r\n');
    await until(() => client.closed(), 'the connection is closed');
    await admin.expectGrowth(before, requests, { status: '400', method: 'OTHER' }, 1);
    await admin.expectGrowth(before, requests, { status: '200', route: '/public' }, 2);
    await admin.expectGrowth(before, requests, {}, 3);
  });

  test('does not count when nothing was said: connections that come and go', async () => {
    const before = await admin.scrape();
    for (let i = 0; i < 5; i++) {
      const mute = await connect(gateway);
      if (i % 2) mute.socket.destroy();
      else mute.socket.resetAndDestroy();
    }
    await send(gateway, '/public/200');
    await admin.expectGrowth(before, requests, { route: '/public' }, 1);
    await admin.expectGrowth(before, requests, {}, 1);
    await admin.expectGrowth(before, refusals, {}, 0);
  });
});

describe('requests in flight', () => {
  const expectInFlight = (value: number) =>
    admin.expectSamples('gateway_requests_in_flight', {}, [{ labels: {}, value }]);

  test('are those whose answer is not complete, and no others', async () => {
    const leave = new AbortController();
    const headers = { 'X-API-Key': 'key-held-0' };
    const calls = [1, 2, 3].map((n) => send(gateway, `/held-0/${n}`, { headers }));
    const leaving = send(gateway, '/held-0/4', { headers, signal: leave.signal }).catch(() => {});
    await until(() => held.length === 4, 'the calls have reached the service');
    await send(gateway, '/health');
    await send(gateway, '/nowhere');
    await expectInFlight(4);
    leave.abort();
    await leaving;
    await expectInFlight(3);
    held[0]?.write('the beginning');
    await expectInFlight(3);
    for (const response of held) response.end();
    await Promise.all(calls);
    await expectInFlight(0);
  });
});

describe('not counted', () => {
  test('are the health check, and whatever the admin listener is asked', async () => {
    const before = await admin.scrape();
    for (const path of ['/health', '/ready', '/circuits', '/metrics', '/nowhere']) await send(admin, path);
    await send(admin, '/metrics', { method: 'POST', body: 'x' });
    for (let i = 0; i < 3; i++) await send(gateway, '/health', { method: i ? 'GET' : 'HEAD' });
    await send(gateway, '/public/200');
    await admin.expectGrowth(before, requests, { route: '/public' }, 1);
    for (const name of [requests, `${durations}_count`, `${overheads}_count`])
      await admin.expectGrowth(before, name, {}, 1);
    await admin.expectGrowth(before, 'gateway_redis_duration_seconds_count', {}, 1);
    await admin.expectGrowth(before, refusals, {}, 0);
  });
});

describe('the families', () => {
  const families: Array<[name: string, type: string, labels: string[]]> = [
    [requests, 'counter', ['client', 'method', 'route', 'service', 'source', 'status']],
    [durations, 'histogram', ['method', 'route', 'status_class']],
    [upstreamDurations, 'histogram', ['outcome', 'service']],
    [overheads, 'histogram', ['route']],
    ['gateway_requests_in_flight', 'gauge', []],
    [refusals, 'counter', ['client', 'reason', 'stage']],
    ['gateway_rate_limit_decisions_total', 'counter', ['class', 'decision']],
    ['gateway_redis_duration_seconds', 'histogram', []],
    ['gateway_redis_up', 'gauge', []],
    ['gateway_circuit_open', 'gauge', ['service']],
    ['gateway_circuit_openings_total', 'counter', ['service']],
    ['gateway_circuit_rejections_total', 'counter', ['service']],
    ['gateway_build_info', 'gauge', ['node', 'phase', 'version']],
  ];

  beforeAll(async () => {
    await send(gateway, '/public/200');
    await send(gateway, '/nowhere');
    const inFlight = async () => (await admin.scrape()).total('gateway_requests_in_flight');
    await until(async () => (await inFlight()) === 0, 'both requests are counted');
  });

  test.each(families)('%s is a %s with the labels %j', async (name, type, labels) => {
    const metrics = await admin.scrape();
    expect(metrics.types.get(name)).toBe(type);
    const names = type === 'histogram' ? [`${name}_sum`, `${name}_count`] : [name];
    for (const sampleName of names) {
      const found = metrics.find(sampleName).map((sample) => Object.keys(sample.labels).sort().join());
      expect([...new Set(found)], sampleName).toEqual([labels.join()]);
    }
  });

  test('are these, and no other of the gateway', async () => {
    const { types } = await admin.scrape();
    const own = [...types.keys()].filter((name) => name.startsWith('gateway_'));
    expect(own.sort()).toEqual(families.map(([name]) => name).sort());
  });

  test.skipIf(!promtoolAvailable)('please promtool, which finds nothing to complain about', async () => {
    const { text } = await admin.scrape();
    expect(await checkMetrics(text)).toEqual({ code: 0, output: '' });
  });
});

describe('/metrics', () => {
  const scrape = (accept?: string) =>
    send(admin, '/metrics', { headers: accept === undefined ? {} : { Accept: accept } });
  const asText = /^text\/plain; ?version=0\.0\.4(; ?charset=utf-8)?$/;
  const asOpenMetrics = /^application\/openmetrics-text; ?version=1\.0\.0(; ?charset=utf-8)?$/;
  const ofPrometheus =
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,' +
    'application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';

  test.each([
    undefined,
    '*/*',
    'text/plain',
    'text/plain;version=0.0.4',
    'text/html,application/xhtml+xml,*/*;q=0.8',
  ])('is Prometheus text 0.0.4 for Accept: %s', async (accept) => {
    const answer = await scrape(accept);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toMatch(asText);
    expect(answer.text).not.toContain('# EOF');
    parseMetrics(answer.text);
  });

  test.each([openMetrics, 'application/openmetrics-text', ofPrometheus])(
    'is OpenMetrics 1.0.0, with its # EOF, for Accept: %s',
    async (accept) => {
      const answer = await scrape(accept);
      expect(answer.status).toBe(200);
      expect(answer.headers['content-type']).toMatch(asOpenMetrics);
      expect(answer.text.endsWith('\n# EOF\n')).toBe(true);
      const { types } = parseMetrics(answer.text, 'openmetrics');
      expect(types.get('gateway_http_requests')).toBe('counter');
    },
  );

  test('says the same in both formats, and again when asked again', async () => {
    await admin.expectSamples('gateway_requests_in_flight', {}, [{ labels: {}, value: 0 }]);
    const own = (metrics: Metrics) => [
      metrics.series('gateway_'),
      metrics.samples
        .filter(({ name }) => name.startsWith('gateway_') && !name.startsWith('gateway_redis_duration'))
        .reduce((sum, { value }) => sum + value, 0),
    ];
    const text = own(parseMetrics((await scrape()).text));
    expect(own(parseMetrics((await scrape(openMetrics)).text, 'openmetrics'))).toEqual(text);
    expect(own(parseMetrics((await scrape()).text))).toEqual(text);
  });

  test('is not mixed up when both formats are asked for at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => scrape(i % 2 ? openMetrics : 'text/plain')),
    );
    for (const [i, { headers, text }] of answers.entries()) {
      expect(headers['content-type']).toMatch(i % 2 ? asOpenMetrics : asText);
      parseMetrics(text, i % 2 ? 'openmetrics' : 'text');
    }
  });

  test('hurts no request, however often it is asked and however slowly it is read', async () => {
    const agent = new http.Agent({ keepAlive: true });
    const slow = await Promise.all(Array.from({ length: 5 }, () => connect(admin)));
    for (const { socket } of slow) {
      socket.pause();
      socket.write('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(8));
    }
    const scrapes = Array.from({ length: 20 }, () => scrape());
    const calls = Array.from({ length: 50 }, () => send(gateway, '/public/200', { agent, timeoutMs: 5_000 }));
    const statuses = (await Promise.all([...calls, ...scrapes])).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200]));
    for (const { socket } of slow) socket.destroy();
    agent.destroy();
    expect((await send(gateway, '/public/200')).status).toBe(200);
    // Other tests must not count these.
    await admin.expectSamples('gateway_requests_in_flight', {}, [{ labels: {}, value: 0 }]);
  });
});

describe('10,000 requests with random paths, keys, addresses, methods, hosts and ids', () => {
  let gateway: Gateway;
  let admin: Admin;

  beforeAll(async () => {
    const service = await startUpstream((request, response) => {
      request.on('end', () => response.end('ok'));
    });
    ({ gateway, admin } = await startObserved(
      configFor(
        {
          services: { a: { url: service.url, timeoutMs: 10_000 } },
          routes: [
            { prefix: '/a', service: 'a' },
            { prefix: '/locked', service: 'a', access: 'protected' },
          ],
          clients: [{ id: 'client-1', keySha256: [createHash('sha256').update('the-key').digest('hex')] }],
          trustedProxies: ['127.0.0.1'],
        },
        5,
      ),
    ));
  });

  afterAll(() => gateway?.stop());

  // Every random name begins with this marker, which must not appear in a scrape.
  const marker = 'rnd';
  const random = () => `${marker}${randomBytes(6).toString('hex')}`;
  const digits = (count: number) => randomBytes(count).toString('hex');
  const address = () => `10.${[...randomBytes(3)].join('.')}`;

  // Without HEAD, whose answers answersIn() cannot parse, CONNECT and TRACE, which the gateway does not forward, and
  // QUERY, which not every HTTP parser knows.
  const methods = METHODS.filter((method) => !['HEAD', 'CONNECT', 'TRACE', 'QUERY'].includes(method));

  /** Kinds of requests, random in every part that does not decide the status. Expensive kinds have a low weight. */
  const kinds: Array<{ weight: number; status: number; target: () => string; key?: () => string }> = [
    { weight: 40, status: 404, target: () => `/${random()}/${random()}?${random()}` },
    { weight: 15, status: 404, target: () => `/a${random()}` },
    { weight: 15, status: 401, target: () => `/a/${random()}`, key: random },
    { weight: 15, status: 401, target: () => `/locked/${random()}` },
    { weight: 10, status: 400, target: () => `/${random()}/%2e%2e/${random()}` },
    { weight: 3, status: 200, target: () => `/a/${random()}?${random()}` },
    { weight: 2, status: 200, target: () => `/locked/${random()}`, key: () => 'the-key' },
  ];
  type Kind = (typeof kinds)[0];
  const drawn = kinds.flatMap((kind) => Array.from({ length: kind.weight }, () => kind));

  function request({ target, key }: Kind, method: string, isLast: boolean): string {
    const lines = [
      `${method} ${target()} HTTP/1.1`,
      `Host: ${random()}.example`,
      `X-Forwarded-For: ${address()}`,
      `X-Request-Id: ${random()}`,
      `User-Agent: ${random()}`,
      `traceparent: 00-${digits(16)}-${digits(8)}-01`,
      `tracestate: ${random()}=${random()}`,
      'Content-Length: 0',
      ...(key ? [`X-API-Key: ${key()}`] : []),
      ...(isLast ? ['Connection: close'] : []),
    ];
    return `${lines.join('\r\n')}\r\n\r\n`;
  }

  /** Pipelines the requests on one connection and expects the status of its kind for each. */
  async function pipeline(calls: Array<{ kind: Kind; method: string }>): Promise<void> {
    const bytes = calls.map(({ kind, method }, i) => request(kind, method, i === calls.length - 1));
    const { text } = await sendRaw(gateway, bytes.join(''), { timeoutMs: 20_000 });
    const statuses = answersIn(text).map(({ status }) => status);
    expect(statuses).toEqual(calls.map(({ kind }) => kind.status));
  }

  function pick<T>(from: T[]): T {
    return from[Math.floor(Math.random() * from.length)] as T;
  }

  test('add no series to those that one of each kind has made', async () => {
    const oneOfEach = kinds.flatMap((kind) => methods.map((method) => ({ kind, method })));
    await pipeline(oneOfEach);
    await sendRaw(gateway, `${random().toUpperCase()} /a/1 HTTP/1.1\r\nHost: a\r\n\r\n`);
    const sent = oneOfEach.length + 1;
    const requests = 'gateway_http_requests_total';
    const before = await expectCounted(sent);
    const series = before.series('gateway_');

    const perConnection = 250;
    const connections = 40;
    for (let i = 0; i < connections; i += 4) {
      const pipelines = Array.from({ length: 4 }, () =>
        pipeline(Array.from({ length: perConnection }, () => ({ kind: pick(drawn), method: pick(methods) }))),
      );
      await Promise.all(pipelines);
    }
    // The gateway closes the connection after an unknown method, so each of these uses its own.
    const unheardOf = Array.from({ length: 50 }, () =>
      sendRaw(gateway, `${random().toUpperCase()} /a/${random()} HTTP/1.1\r\nHost: a\r\n\r\n`),
    );
    await Promise.all(unheardOf);

    const after = await expectCounted(sent + perConnection * connections + unheardOf.length);
    expect(after.series('gateway_')).toEqual(series);
    expect(after.total(requests, { method: 'OTHER' })).toBeGreaterThan(1_000);
    expect(after.text.toLowerCase()).not.toContain(marker);

    async function expectCounted(count: number) {
      await expect.poll(async () => (await admin.scrape()).total(requests), { timeout: 10_000 }).toBe(count);
      return admin.scrape();
    }
  });

  test('stay out of what else the admin listener says', async () => {
    const bodies = await Promise.all(['/circuits', '/ready', '/health'].map((path) => admin.ask(path)));
    expect(JSON.stringify(bodies)).not.toContain(marker);
  });
});
