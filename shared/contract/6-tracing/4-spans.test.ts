// With an endpoint of OpenTelemetry the gateway takes part in the trace: a SERVER span per request, a CLIENT span for
// the call to the service, and the service gets the CLIENT span as its parent. The spans say what happened to the
// request, and whether it was sampled decides if there are any. No query, no key, no cookie and no address of a client is
// in a span.

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Collector, type Span, startCollector } from '../../process/collector.ts';
import { startObserved } from '../harness/admin.ts';
import { connect, type SendOptions, send, until } from '../harness/client.ts';
import { configFor, type Gateway, startAndFail } from '../harness/gateway.ts';
import { deadUrl, startUpstream, type Upstream } from '../harness/upstream.ts';
import { traceId as givenTraceId, malformed, parentId, wellFormed } from './traceparents.ts';

const key = 'the-key';
const limitedKey = 'another-key';
const spanId = /^(?!0{16})[\da-f]{16}$/;
const exported = { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', OTEL_BSP_SCHEDULE_DELAY: '50' };

const digestOf = (text: string) => createHash('sha256').update(text).digest('hex');

let collector: Collector;
let service: Upstream;
let gateway: Gateway;
let config: ReturnType<typeof configFor>;

beforeAll(async () => {
  collector = await startCollector();
  service = await startUpstream((request, response) => {
    request.on('end', () => {
      if (request.url?.includes('/hang')) return;
      response.statusCode = Number(/\d{3}/.exec(request.url ?? '')?.[0] ?? 200);
      if (!request.url?.includes('/cut')) {
        response.end('ok');
        return;
      }
      response.setHeader('content-length', 1_000);
      response.write('half', () => response.destroy());
    });
  });
  config = configFor(
    {
      services: {
        a: { url: service.url, timeoutMs: 5_000 },
        slow: { url: service.url, timeoutMs: 300 },
        failing: { url: service.url, timeoutMs: 5_000 },
        dead: { url: await deadUrl(), timeoutMs: 5_000 },
      },
      routes: [
        { prefix: '/a', service: 'a' },
        { prefix: '/locked', service: 'a', access: 'protected' },
        { prefix: '/slow', service: 'slow' },
        { prefix: '/failing', service: 'failing' },
        { prefix: '/dead', service: 'dead' },
      ],
      clients: [
        { id: 'client-1', keySha256: [digestOf(key)] },
        { id: 'client-2', keySha256: [digestOf(limitedKey)] },
      ],
      rateLimit: { identified: { limit: 2, windowMs: 600_000 } },
      circuitBreaker: { failureThreshold: 5, cooldownMs: 600_000 },
    },
    6,
  );
  const env = {
    ...exported,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20abc',
    OTEL_SERVICE_NAME: 'edge',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  };
  ({ gateway } = await startObserved(config, { env }));
  for (let i = 0; i < 5; i++) expect((await send(gateway, '/failing/500')).status).toBe(500);
});

afterAll(() => collector?.close());

/** The spans of one trace, SERVER first. There are `count` of them. */
async function spansOf(traceId: string, count: number, from = collector): Promise<Span[]> {
  const found = () => from.spans.filter((span) => span.traceId === traceId);
  await until(() => found().length >= count, `${count} spans of the trace`, 15_000);
  expect(found()).toHaveLength(count);
  return found().sort((a, b) => (a.kind < b.kind ? 1 : -1));
}

const seenAt = (target: string) => service.seen.find((each) => target.endsWith(each.target));

/** Asserts that a request with these fields has a SERVER span without a parent, and that the service gets its trace. */
async function expectBegun(name: string, fields: string[]): Promise<void> {
  const target = `/a/begin-${encodeURIComponent(name)}`;
  await send(gateway, target, { headers: fields });
  const line = await gateway.waitForLog(({ path }) => path === target);
  const [server, call] = (await spansOf(String(line.traceId), 2)) as [Span, Span];
  expect(server.traceId).not.toBe(givenTraceId);
  expect(server.parentId).toBeNull();
  expect(call.parentId).toBe(server.spanId);
  expect(seenAt(target)?.headersDistinct.traceparent).toEqual([`00-${call.traceId}-${call.spanId}-01`]);
}

let traces = 0;
const newTraceId = () => (++traces).toString(16).padStart(31, 'a').padStart(32, '1');

/** Sends a request with a new trace. Without an answer, `status` is 0. */
async function trace(target: string, { headers = {}, ...options }: SendOptions = {}) {
  const traceId = newTraceId();
  const fields = { traceparent: `00-${traceId}-${parentId}-01`, ...(headers as Record<string, string>) };
  const answer = await send(gateway, target, { ...options, headers: fields }).catch(() => null);
  return { traceId, status: answer?.status ?? 0 };
}

describe('a request that is answered', () => {
  test('has a SERVER span below the span of its client, and a CLIENT span below that', async () => {
    const { traceId, status } = await trace('/a/orders/200?x=1', { method: 'POST', body: 'x' });
    expect(status).toBe(200);
    const [server, call] = (await spansOf(traceId, 2)) as [Span, Span];
    expect(server).toMatchObject({ kind: 'SERVER', name: 'POST /a', parentId, status: 'UNSET', events: [] });
    expect(call).toMatchObject({ kind: 'CLIENT', name: 'POST', parentId: server.spanId, status: 'UNSET' });
    for (const span of [server, call]) expect(span.spanId).toMatch(spanId);
    expect(new Set([server.spanId, call.spanId, parentId]).size).toBe(3);
  });

  test('has attributes of the conventions for HTTP', async () => {
    const { traceId } = await trace('/a/orders/201?x=1');
    const [server, call] = (await spansOf(traceId, 2)) as [Span, Span];
    expect(server.attributes).toMatchObject({
      'http.request.method': 'GET',
      'http.response.status_code': 201,
      'http.route': '/a',
      'url.scheme': 'http',
      'url.path': '/a/orders/201',
    });
    expect(call.attributes).toMatchObject({
      'http.request.method': 'GET',
      'http.response.status_code': 201,
      'server.address': '127.0.0.1',
      'server.port': service.port,
    });
    for (const { attributes } of [server, call]) expect(attributes).not.toHaveProperty('error.type');
  });

  test('has spans of its own times: that of the call lies within that of the request', async () => {
    const before = BigInt(Date.now() - 1_000) * 1_000_000n;
    const { traceId } = await trace('/a/times');
    const [server, call] = (await spansOf(traceId, 2)) as [Span, Span];
    const times = [before, server.startNs, call.startNs, call.endNs, server.endNs];
    expect(times).toEqual(times.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(server.endNs).toBeLessThan(BigInt(Date.now() + 1_000) * 1_000_000n);
  });

  test.each(wellFormed)('gives the service a new parent id for the same trace: %s', async (traceparent) => {
    const [, given = '', parent = '', flags = ''] = traceparent.split('-');
    const target = `/a/${newTraceId()}`;
    const from = collector.spans.length;
    await send(gateway, target, { headers: { traceparent, tracestate: 'congo=t61rcWkgMzE' } });
    const seen = seenAt(target);
    const [version, id, callId, flag] = String(seen?.headers.traceparent).split('-');
    const sampled = (Number.parseInt(flags, 16) & 1) === 1;
    expect({ version, id, flag }).toEqual({ version: '00', id: given, flag: sampled ? '01' : '00' });
    expect(callId).toMatch(spanId);
    expect(callId).not.toBe(parent);
    expect(seen?.headersDistinct.tracestate).toEqual(['congo=t61rcWkgMzE']);
    if (!sampled) return;
    const find = (kind: string) =>
      collector.spans.slice(from).find((span) => span.traceId === given && span.kind === kind);
    await until(() => find('SERVER') !== undefined && find('CLIENT') !== undefined, 'the spans');
    expect(find('SERVER')?.parentId).toBe(parent);
    expect(find('CLIENT')?.spanId).toBe(callId);
  });

  test('begins a trace when it has no traceparent', async () => {
    await expectBegun('none', []);
  });

  test.each(malformed)('begins a trace when its traceparent is malformed: %s', async (what, ...values) => {
    await expectBegun(
      what,
      values.flatMap((value) => ['traceparent', value]),
    );
  });

  test('has its trace and the SERVER span in the log', async () => {
    const { traceId } = await trace('/a/logged');
    const [server] = await spansOf(traceId, 2);
    const line = await gateway.waitForLog(({ path }) => path === '/a/logged');
    expect(line).toMatchObject({ traceId, spanId: server?.spanId });
  });

  test('may use a method that the conventions do not know: it is _OTHER', async () => {
    const { traceId } = await trace('/a/props', { method: 'PROPFIND' });
    const [server, call] = (await spansOf(traceId, 2)) as [Span, Span];
    expect([server.name, call.name]).toEqual(['HTTP /a', 'HTTP']);
    expect(server.attributes).toMatchObject({ 'http.request.method': '_OTHER' });
  });

  test.each([
    [404, 'UNSET', undefined],
    [500, 'ERROR', '500'],
  ])('by the service with %i: SERVER is %s, CLIENT is ERROR', async (code, status, error) => {
    const { traceId } = await trace(`/a/status/${code}`);
    const [server, call] = (await spansOf(traceId, 2)) as [Span, Span];
    expect(server.status).toBe(status);
    expect(server.attributes['error.type']).toBe(error);
    expect(call).toMatchObject({ status: 'ERROR', attributes: { 'error.type': String(code) } });
  });
});

describe('a request that is refused', () => {
  test.each<
    [status: number, stage: string, problem: string, target: string, headers?: Record<string, string>]
  >([
    [400, 'parse', 'bad-request', '/a/%2e%2e'],
    [404, 'route', 'no-route', '/nowhere'],
    [401, 'identify', 'unknown-key', '/a', { 'X-API-Key': 'wrong' }],
    [401, 'access', 'key-required', '/locked'],
    [503, 'circuit', 'circuit-open', '/failing/1'],
  ])(
    'with %i has a SERVER span alone, with the event refused: %s, %s',
    async (code, stage, problem, target, headers) => {
      const { traceId, status } = await trace(target, { headers });
      expect(status).toBe(code);
      const [server] = (await spansOf(traceId, 1)) as [Span];
      expect(server).toMatchObject({
        kind: 'SERVER',
        parentId,
        status: code >= 500 ? 'ERROR' : 'UNSET',
        attributes: { 'http.response.status_code': code },
        events: [{ name: 'refused', attributes: { 'gateway.stage': stage, 'gateway.problem': problem } }],
      });
      expect(server.attributes['error.type']).toBe(code >= 500 ? problem : undefined);
      const [event] = server.events;
      expect(event?.atNs).toBeGreaterThanOrEqual(server.startNs);
      expect(event?.atNs).toBeLessThanOrEqual(server.endNs);
    },
  );

  test('with 429 has a SERVER span alone, with the event refused', async () => {
    const limited = { headers: { 'X-API-Key': limitedKey } };
    for (let i = 0; i < 2; i++) expect((await trace('/a/limited', limited)).status).toBe(200);
    const { traceId, status } = await trace('/a/limited', limited);
    expect(status).toBe(429);
    const [server] = (await spansOf(traceId, 1)) as [Span];
    expect(server).toMatchObject({
      name: 'GET /a',
      status: 'UNSET',
      events: [
        { name: 'refused', attributes: { 'gateway.stage': 'limit', 'gateway.problem': 'rate-limited' } },
      ],
    });
  });
});

describe('a call that fails', () => {
  test.each<[what: string, target: string, problem: string, status: number]>([
    ['a slow service', '/slow/hang', 'upstream-timeout', 504],
    ['no service', '/dead', 'upstream-unreachable', 502],
    ['a response that is cut', '/a/cut', 'upstream-reset', 0],
  ])('%s: both spans are ERROR and name the cause', async (_what, target, problem, status) => {
    const sent = await trace(target);
    expect(sent.status).toBe(status);
    const spans = await spansOf(sent.traceId, 2);
    for (const span of spans)
      expect(span).toMatchObject({ status: 'ERROR', attributes: { 'error.type': problem } });
    const [server, call] = spans as [Span, Span];
    expect(server.events).toMatchObject([
      { name: 'refused', attributes: { 'gateway.stage': 'forward', 'gateway.problem': problem } },
    ]);
    if (status > 0) expect(call.attributes).not.toHaveProperty('http.response.status_code');
  });

  test('because the client leaves: CLIENT is ERROR, and SERVER has no status code', async () => {
    const traceId = newTraceId();
    const client = await connect(gateway);
    client.socket.write(
      `GET /a/hang-left HTTP/1.1\r\nHost: a\r\ntraceparent: 00-${traceId}-${parentId}-01\r\n\r\n`,
    );
    await until(() => service.seen.some(({ target }) => target === '/hang-left'), 'the service is called');
    client.socket.destroy();
    const [server, call] = (await spansOf(traceId, 2)) as [Span, Span];
    expect(server.status).toBe('UNSET');
    expect(server.attributes).not.toHaveProperty('http.response.status_code');
    expect(call).toMatchObject({ status: 'ERROR', attributes: { 'error.type': 'client-disconnected' } });
  });
});

describe('the exporter', () => {
  test('sends to /v1/traces, with the headers of the environment', async () => {
    await spansOf((await trace('/a/exported')).traceId, 2);
    for (const { path, headers, text } of collector.exports) {
      expect(path).toBe('/v1/traces');
      if (!text.includes('"edge"')) continue; // another gateway
      expect(headers).toMatchObject({ 'content-type': 'application/json', authorization: 'Basic abc' });
    }
  });

  test('names the program by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES', async () => {
    const [server] = await spansOf((await trace('/a/named')).traceId, 2);
    expect(server?.resource).toMatchObject({ 'service.name': 'edge', 'deployment.environment.name': 'test' });
  });

  test('sends spans in batches', async () => {
    const before = collector.exports.length;
    const sent = await Promise.all(Array.from({ length: 100 }, () => trace('/a/batch')));
    for (const { traceId } of sent) await spansOf(traceId, 2);
    expect(collector.exports.length - before).toBeLessThan(50);
  });

  test.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
    ['OTEL_TRACES_SAMPLER', 'sometimes'],
    ['OTEL_TRACES_SAMPLER_ARG', '2'],
    ['OTEL_BSP_MAX_QUEUE_SIZE', '0'],
  ])('is refused with a bad %s: %s', async (name, value) => {
    const { code, stderr } = await startAndFail(config, {
      env: { ADMIN_PORT: '0', OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, [name]: value },
    });
    expect(code).toBe(1);
    expect(stderr).toContain(name);
  });
});

describe('a trace that is not sampled', () => {
  const samplers: Array<[sampler: string, arg: string, flags: string | null, sampled: boolean]> = [
    ['parentbased_always_on', '', '00', false],
    ['parentbased_always_on', '', null, true],
    ['parentbased_always_off', '', '01', true],
    ['parentbased_always_off', '', null, false],
    ['parentbased_traceidratio', '0', '01', true],
    ['parentbased_traceidratio', '0', null, false],
    ['parentbased_traceidratio', '1', null, true],
    ['always_on', '', '00', true],
    ['always_off', '', '01', false],
    ['traceidratio', '0', '01', false],
    ['traceidratio', '1', '00', true],
  ];
  const names = [...new Set(samplers.map(([sampler, arg]) => `${sampler} ${arg}`))];

  test.each(names)('is known by the sampler: %s', async (name) => {
    const [sampler = '', arg = ''] = name.split(' ');
    const env = {
      ...exported,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces`,
      OTEL_TRACES_SAMPLER: sampler,
      OTEL_TRACES_SAMPLER_ARG: arg,
    };
    const { gateway: sampling } = await startObserved(config, { env });
    for (const [, , flags, sampled] of samplers.filter(([other, value]) => `${other} ${value}` === name)) {
      const given = newTraceId();
      const target = `/a/sampled-${given}`;
      const headers = flags === null ? {} : { traceparent: `00-${given}-${parentId}-${flags}` };
      await send(sampling, target, { headers });
      const line = await sampling.waitForLog(({ path }) => path === target);
      const traceId = String(line.traceId);
      const seen = service.seen.find(({ target: path }) => path.endsWith(given));
      const [, id, parent, flag] = String(seen?.headers.traceparent).split('-');
      expect({ id, flag }).toEqual({ id: traceId, flag: sampled ? '01' : '00' });
      expect(parent).toMatch(spanId);
      expect(parent).not.toBe(parentId);
      expect('spanId' in line).toBe(sampled);
      if (sampled) await spansOf(traceId, 2);
    }
    await sampling.stop(); // exports the rest
    const unsampled = samplers.filter(
      ([other, value, , sampled]) => `${other} ${value}` === name && !sampled,
    );
    const ids = sampling.log().flatMap(({ traceId, spanId: id }) => (traceId && !id ? [traceId] : []));
    expect(ids).toHaveLength(unsampled.length);
    expect(collector.spans.filter(({ traceId }) => ids.includes(traceId))).toEqual([]);
  });
});

describe('a secret', () => {
  test('is in no span: no query, key or cookie, no header field, no address of a client', async () => {
    const canary = 'canary';
    const headers = {
      'X-API-Key': canary,
      Cookie: `session=${canary}`,
      Authorization: `Bearer ${canary}`,
      'User-Agent': canary,
      Referer: canary,
      'X-Forwarded-For': '203.0.113.9',
      tracestate: `a=${canary}=malformed`,
    };
    const ids: string[] = [];
    for (const target of ['/a/1', '/nowhere', '/dead', '/slow/hang', '/a/cut', '/failing/1']) {
      const { 'X-API-Key': _, ...anonymous } = headers;
      for (const sent of [headers, anonymous, { ...headers, 'X-API-Key': key }])
        ids.push((await trace(`${target}?token=${canary}`, { headers: sent })).traceId);
    }
    for (const id of ids)
      await until(() => collector.spans.some(({ traceId }) => traceId === id), 'the spans of all requests');
    const text = collector.exports.map((sent) => sent.text).join('\n');
    const secrets = [canary, 'token=', 'session=', 'Bearer', '203.0.113.9', key];
    expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
    expect(text).not.toMatch(/client\.address|network\.peer|user_agent|url\.query|url\.full/);
  });
});
