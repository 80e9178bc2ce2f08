import http from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Metrics, parseMetrics } from '../metrics/prometheus-text.ts';
import { type Admin, openMetrics, startObserved } from './harness/admin.ts';
import { connect, expectProblem, type SendOptions, send, sendRaw, until } from './harness/client.ts';
import { slowMs, startFaultyService } from './harness/faulty-service.ts';
import { configFor, type Gateway, level } from './harness/gateway.ts';
import { checkMetrics, promtoolAvailable } from './harness/promtool.ts';
import { joinTenants, makeTenants, type Tenant, type Tenants } from './harness/tenants.ts';
import { startUpstream, type Upstream } from './harness/upstream.ts';

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
        routes: [...routes, { prefix: '/public', service: 'service-tenant-0', access: 'public' }],
        clients,
        circuitBreaker: { failureThreshold: 2, cooldownMs: 60_000 },
      },
      5,
    ),
  ));
  first = await admin.scrape();
  // Skips tenant 0, because the public route leads to its service, too.
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
    const route = '/public';
    await send(gateway, '/public/200');
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
    ['a method nobody knows', 'FETCH /public/200 HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'bad-request'],
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
  });
});
