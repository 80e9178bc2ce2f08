// A call to a service ends in one of a few ways: ok, an error status, no connection, a reset, a timeout, an
// invalid answer, or a client that left. Each is counted once, and the metrics and the log agree. Otherwise
// an operator looks for the cause in the wrong place.

import { beforeAll, describe, expect, test } from 'vitest';
import { type Admin, startObserved } from '../harness/admin.ts';
import { answersIn, connect, type SendOptions, send, sendRaw, until } from '../harness/client.ts';
import { beginning, startFaultyService } from '../harness/faulty-service.ts';
import { configFor, type Gateway } from '../harness/gateway.ts';
import { joinTenants, makeTenants, type Tenant, type Tenants } from '../harness/tenants.ts';
import { deadUrl, type Upstream } from '../harness/upstream.ts';

let gateway: Gateway;
let admin: Admin;
let service: Upstream;
let patient: Tenants;
/** Tenants with a short timeoutMs. */
let hasty: Tenants;
/** Nothing listens at the URL of their service. */
let dead: Tenants;
/** Called several times. */
let busy: Tenants;

beforeAll(async () => {
  service = await startFaultyService();
  patient = makeTenants('patient', 50, service.url, 10_000);
  hasty = makeTenants('hasty', 2, service.url, 300);
  dead = makeTenants('dead', 2, await deadUrl(), 10_000);
  busy = makeTenants('busy', 1, service.url, 10_000);
  ({ gateway, admin } = await startObserved(configFor(joinTenants(patient, hasty, dead, busy), 5)));
});

/** How a call to a service ended, and what the client got. */
interface Fate {
  outcome: string;
  status: number;
  source: 'upstream' | 'gateway';
  /** The reason of the refusal. */
  reason?: string;
  /** The stage of the refusal. */
  stage?: string;
  method?: string;
}

async function expectFate(tenant: Tenant, fate: Fate): Promise<void> {
  const { service: name, prefix: route, client } = tenant;
  const { outcome, status, source, reason, stage = 'forward', method = 'GET' } = fate;
  await admin.expectSamples('gateway_http_requests_total', { client }, [
    { labels: { route, service: name, method, status: String(status), client, source }, value: 1 },
  ]);
  await admin.expectSamples('gateway_upstream_duration_seconds_count', { service: name }, [
    { labels: { service: name, outcome }, value: 1 },
  ]);
  await admin.expectSamples(
    'gateway_refusals_total',
    { client },
    reason === undefined ? [] : [{ labels: { stage, reason, client }, value: 1 }],
  );
}

const ask = (tenant: Tenant, word: string, options: SendOptions = {}) =>
  send(gateway, `${tenant.prefix}/${word}`, { ...options, headers: tenant.headers }).then(
    ({ status }) => status,
    () => 'cut',
  );

describe('the call to a service ends as', () => {
  test.each([
    ['200'],
    ['201'],
    ['204'],
    ['301'],
    ['304'],
    ['304-with-length', 304],
    ['400'],
    ['404'],
    ['429'],
    ['499'],
    ['chunks', 200],
  ])('ok, when the answer is complete: %s', async (word, status = Number(word)) => {
    const tenant = patient.next();
    expect(await ask(tenant, word)).toBe(status);
    await expectFate(tenant, { outcome: 'ok', status, source: 'upstream' });
  });

  test('ok, when a HEAD is answered', async () => {
    const tenant = patient.next();
    expect(await ask(tenant, '200', { method: 'HEAD' })).toBe(200);
    await expectFate(tenant, { outcome: 'ok', status: 200, source: 'upstream', method: 'HEAD' });
  });

  test.each([500, 503, 599])('http_5xx, when a complete answer has the status %i', async (status) => {
    const tenant = patient.next();
    expect(await ask(tenant, String(status))).toBe(status);
    await expectFate(tenant, { outcome: 'http_5xx', status, source: 'upstream' });
  });

  test('connect, when there is no connection', async () => {
    const tenant = dead.next();
    expect(await ask(tenant, 'x')).toBe(502);
    const reason = 'upstream-unreachable';
    await expectFate(tenant, { outcome: 'connect', status: 502, source: 'gateway', reason });
  });

  test.each(['reset', 'close'])('reset, when there is no answer: %s', async (word) => {
    const tenant = patient.next();
    expect(await ask(tenant, word)).toBe(502);
    await expectFate(tenant, { outcome: 'reset', status: 502, source: 'gateway', reason: 'upstream-reset' });
  });

  test.each([
    ['cut', 200],
    ['cut-chunks', 200],
    ['cut-500', 500],
  ])('reset, with the status of the service, when the answer is cut short: %s', async (word, status) => {
    const tenant = patient.next();
    expect(await ask(tenant, word)).toBe('cut');
    await expectFate(tenant, { outcome: 'reset', status, source: 'upstream', reason: 'upstream-reset' });
  });

  test('timeout, when no answer comes in time', async () => {
    const tenant = hasty.next();
    expect(await ask(tenant, 'hang')).toBe(504);
    const reason = 'upstream-timeout';
    const fate: Fate = { outcome: 'timeout', status: 504, source: 'gateway', reason };
    await expectFate(tenant, fate);
    const { total } = await admin.scrape();
    const seconds = total('gateway_upstream_duration_seconds_sum', { service: tenant.service });
    expect(seconds).toBeGreaterThanOrEqual(0.29);
    expect(seconds).toBeLessThan(5);
  });

  test.each(['garbage', 'large-headers', '600'])('invalid, when the answer is none: %s', async (word) => {
    const tenant = patient.next();
    expect(await ask(tenant, word)).toBe(502);
    await expectFate(tenant, {
      outcome: 'invalid',
      status: 502,
      source: 'gateway',
      reason: 'upstream-invalid',
    });
  });
});

describe('a client that leaves', () => {
  const left: Fate = { outcome: 'aborted', status: 499, source: 'gateway' };

  test('before the answer is counted once, as 499, and the call as aborted', async () => {
    const tenant = patient.next();
    const leave = new AbortController();
    const begun = service.begun();
    const gone = ask(tenant, 'hang', { signal: leave.signal });
    await until(() => service.begun() > begun, 'the call has reached the service');
    leave.abort();
    await gone;
    await expectFate(tenant, left);
  });

  test('within the answer is counted once, as 499, although it has seen a 200', async () => {
    const tenant = patient.next();
    await sendRaw(gateway, head('GET', tenant, 'begin'), { until: (text) => text.includes(beginning) });
    await expectFate(tenant, left);
  });

  test.each([
    ['with a length', 'Content-Length: 100000\r\n\r\nthe beginning'],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\nd\r\nthe beginning\r\n'],
  ])('within its upload %s is counted once, as 499', async (_how, rest) => {
    const tenant = patient.next();
    const begun = service.begun();
    const client = await connect(gateway);
    client.socket.write(head('POST', tenant, 'upload', rest));
    await until(() => service.begun() > begun, 'the upload has reached the service');
    client.socket.destroy();
    await expectFate(tenant, { ...left, method: 'POST' });
  });

  test('with several requests on its connection is counted once for each that was in flight', async () => {
    const tenant = busy.next();
    const begun = service.begun();
    const client = await connect(gateway);
    client.socket.write(head('GET', tenant, 'hang').repeat(3));
    await until(() => service.begun() > begun, 'a call has reached the service');
    const before = await admin.scrape();
    const inFlight = before.total('gateway_requests_in_flight');
    expect(inFlight).toBeGreaterThan(0);
    client.socket.destroy();
    await admin.expectSamples('gateway_requests_in_flight', {}, [{ labels: {}, value: 0 }]);
    const asked = { client: tenant.client };
    await admin.expectGrowth(
      before,
      'gateway_http_requests_total',
      { ...asked, status: '499', source: 'gateway' },
      inFlight,
    );
    await admin.expectGrowth(before, 'gateway_http_requests_total', asked, inFlight);
  });

  test.each([
    ['breaks its own chunks', 'ZZ\r\n'],
    ['sends chunks that are more framing than data', '1\r\nx\r\n'.repeat(40_000)],
  ])('or %s, is counted once, with the 400 that it gets, and the call as aborted', async (_what, more) => {
    const tenant = patient.next();
    const begun = service.begun();
    const client = await connect(gateway);
    client.socket.write(head('POST', tenant, 'upload', 'Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n'));
    await until(() => service.begun() > begun, 'the upload has reached the service');
    client.socket.write(more);
    await until(() => client.closed(), 'the connection is closed').finally(() => client.socket.destroy());
    const [answer] = answersIn(client.received());
    expect(answer?.status).toBe(400);
    await expectFate(tenant, {
      outcome: 'aborted',
      status: 400,
      source: 'gateway',
      method: 'POST',
      stage: 'parse',
      reason: 'bad-request',
    });
    const line = await gateway.waitForLog(({ client }) => client === tenant.client);
    expect(line).toMatchObject({
      status: 400,
      source: 'gateway',
      refusedBy: 'parse',
      service: tenant.service,
    });
    const id = answer?.headers['x-request-id'];
    expect([line.id, answer?.json().requestId]).toEqual([id, id]);
  });

  test('or sends something else behind its request, is counted once, with the answer that it gets', async () => {
    const tenant = patient.next();
    const before = await admin.scrape();
    const { text } = await sendRaw(gateway, `${head('GET', tenant, 'slow')}nonsense\r\n\r\n`);
    expect(answersIn(text).map(({ status }) => status)).toEqual([200]);
    await expectFate(tenant, { outcome: 'ok', status: 200, source: 'upstream' });
    await admin.expectGrowth(before, 'gateway_http_requests_total', {}, 1);
    await admin.expectGrowth(before, 'gateway_refusals_total', {}, 0);
  });

  test('is in the log once, without a stage that refused', async () => {
    const tenant = patient.next();
    await sendRaw(gateway, head('GET', tenant, 'begin'), { until: (text) => text.includes(beginning) });
    const line = await gateway.waitForLog(({ client }) => client === tenant.client);
    expect(line).toMatchObject({
      msg: 'request',
      route: tenant.prefix,
      service: tenant.service,
      status: 499,
      source: 'gateway',
      upstreamMs: expect.any(Number),
    });
    expect(line).not.toHaveProperty('refusedBy');
  });

  function head(method: string, tenant: Tenant, word: string, rest = '\r\n'): string {
    const key = tenant.headers['X-API-Key'];
    return `${method} ${tenant.prefix}/${word} HTTP/1.1\r\nHost: gateway\r\nX-API-Key: ${key}\r\n${rest}`;
  }
});

describe('after all that', () => {
  test('every call was counted once and is in the log once', async () => {
    const words = ['200', '304', 'chunks', '404', '500', 'reset', 'close', 'cut', 'cut-chunks', 'garbage'];
    const calls: Array<[Tenant, string]> = words.map((word) => [patient.next(), word]);
    calls.push([hasty.next(), 'hang'], [dead.next(), 'x']);
    for (const [tenant, word] of calls) await ask(tenant, word);
    const tenants = calls.map(([tenant]) => tenant);
    const count = async () => {
      const metrics = await admin.scrape();
      const lines = gateway.log().filter(({ msg }) => msg === 'request');
      return tenants.map(({ client, service: name }) => [
        metrics.total('gateway_http_requests_total', { client }),
        metrics.total('gateway_upstream_duration_seconds_count', { service: name }),
        lines.filter((line) => line.client === client).length,
      ]);
    };
    await until(async () => (await count()).flat().every((number) => number > 0), 'every call is counted');
    expect(await count()).toEqual(tenants.map(() => [1, 1, 1]));
  });

  test('nothing was counted that is not a request', async () => {
    const { find } = await admin.scrape();
    expect(find('gateway_http_requests_total', { route: 'none' })).toEqual([]);
  });

  test('nothing is in flight', async () => {
    await admin.expectSamples('gateway_requests_in_flight', {}, [{ labels: {}, value: 0 }]);
  });
});
