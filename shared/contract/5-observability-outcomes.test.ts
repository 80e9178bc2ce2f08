import { beforeAll, describe, expect, it } from 'vitest';
import { type Admin, startObserved } from './harness/admin.ts';
import { connect, type SendOptions, send, sendRaw, until } from './harness/client.ts';
import { beginning, startFaultyService } from './harness/faulty-service.ts';
import { configFor, type Gateway } from './harness/gateway.ts';
import { joinLanes, type Lane, type Lanes, makeLanes } from './harness/lanes.ts';
import { deadUrl, type Upstream } from './harness/upstream.ts';

let gateway: Gateway;
let admin: Admin;
let service: Upstream;
let patient: Lanes;
/** Their timeoutMs is short. */
let hasty: Lanes;
/** Nothing listens there. */
let dead: Lanes;
/** These are asked more than once. */
let busy: Lanes;

beforeAll(async () => {
  service = await startFaultyService();
  patient = makeLanes('patient', 40, service.url, 10_000);
  hasty = makeLanes('hasty', 2, service.url, 300);
  dead = makeLanes('dead', 2, await deadUrl(), 10_000);
  busy = makeLanes('busy', 1, service.url, 10_000);
  ({ gateway, admin } = await startObserved(configFor(joinLanes(patient, hasty, dead, busy), 5)));
});

/** How a call to a service ended, and what the client got. */
interface Fate {
  outcome: string;
  status: number;
  source: 'upstream' | 'gateway';
  /** The refusal of the forward stage. */
  reason?: string;
  method?: string;
}

async function expectFate(lane: Lane, fate: Fate): Promise<void> {
  const { service: name, prefix: route, client } = lane;
  const { outcome, status, source, reason, method = 'GET' } = fate;
  await admin.expectSamples('gateway_http_requests_total', { client }, [
    { labels: { route, service: name, method, status: String(status), client, source }, value: 1 },
  ]);
  await admin.expectSamples('gateway_upstream_duration_seconds_count', { service: name }, [
    { labels: { service: name, outcome }, value: 1 },
  ]);
  await admin.expectSamples(
    'gateway_refusals_total',
    { client },
    reason === undefined ? [] : [{ labels: { stage: 'forward', reason, client }, value: 1 }],
  );
}

const ask = (lane: Lane, word: string, options: SendOptions = {}) =>
  send(gateway, `${lane.prefix}/${word}`, { ...options, headers: lane.headers }).then(
    ({ status }) => status,
    () => 'cut',
  );

describe('the call to a service ends as', () => {
  it.each([
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
    const lane = patient.next();
    expect(await ask(lane, word)).toBe(status);
    await expectFate(lane, { outcome: 'ok', status, source: 'upstream' });
  });

  it('ok, when a HEAD is answered', async () => {
    const lane = patient.next();
    expect(await ask(lane, '200', { method: 'HEAD' })).toBe(200);
    await expectFate(lane, { outcome: 'ok', status: 200, source: 'upstream', method: 'HEAD' });
  });

  it.each([500, 503, 599])('http_5xx, when a complete answer has the status %i', async (status) => {
    const lane = patient.next();
    expect(await ask(lane, String(status))).toBe(status);
    await expectFate(lane, { outcome: 'http_5xx', status, source: 'upstream' });
  });

  it('connect, when there is no connection', async () => {
    const lane = dead.next();
    expect(await ask(lane, 'x')).toBe(502);
    const reason = 'upstream-unreachable';
    await expectFate(lane, { outcome: 'connect', status: 502, source: 'gateway', reason });
  });

  it.each(['reset', 'close'])('reset, when there is no answer: %s', async (word) => {
    const lane = patient.next();
    expect(await ask(lane, word)).toBe(502);
    await expectFate(lane, { outcome: 'reset', status: 502, source: 'gateway', reason: 'upstream-reset' });
  });

  it.each([
    ['cut', 200],
    ['cut-chunks', 200],
    ['cut-500', 500],
  ])('reset, with the status of the service, when the answer is cut short: %s', async (word, status) => {
    const lane = patient.next();
    expect(await ask(lane, word)).toBe('cut');
    await expectFate(lane, { outcome: 'reset', status, source: 'upstream', reason: 'upstream-reset' });
  });

  it('timeout, when no answer comes in time', async () => {
    const lane = hasty.next();
    expect(await ask(lane, 'hang')).toBe(504);
    const reason = 'upstream-timeout';
    const fate: Fate = { outcome: 'timeout', status: 504, source: 'gateway', reason };
    await expectFate(lane, fate);
    const { total } = await admin.scrape();
    const seconds = total('gateway_upstream_duration_seconds_sum', { service: lane.service });
    expect(seconds).toBeGreaterThanOrEqual(0.29);
    expect(seconds).toBeLessThan(5);
  });

  it.each(['garbage', 'large-headers', '600'])('invalid, when the answer is none: %s', async (word) => {
    const lane = patient.next();
    expect(await ask(lane, word)).toBe(502);
    await expectFate(lane, {
      outcome: 'invalid',
      status: 502,
      source: 'gateway',
      reason: 'upstream-invalid',
    });
  });
});

describe('a client that leaves', () => {
  const left: Fate = { outcome: 'aborted', status: 499, source: 'gateway' };

  it('before the answer is counted once, as 499, and the call as aborted', async () => {
    const lane = patient.next();
    const leave = new AbortController();
    const begun = service.begun();
    const gone = ask(lane, 'hang', { signal: leave.signal });
    await until(() => service.begun() > begun, 'the call has reached the service');
    leave.abort();
    await gone;
    await expectFate(lane, left);
  });

  it('within the answer is counted once, as 499, although it has seen a 200', async () => {
    const lane = patient.next();
    await sendRaw(gateway, head('GET', lane, 'begin'), { until: (text) => text.includes(beginning) });
    await expectFate(lane, left);
  });

  it.each([
    ['with a length', 'Content-Length: 1000\r\n\r\nthe beginning'],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\nd\r\nthe beginning\r\n'],
  ])('within its upload %s is counted once, as 499', async (_how, rest) => {
    const lane = patient.next();
    const begun = service.begun();
    const client = await connect(gateway);
    client.socket.write(head('POST', lane, 'upload', rest));
    await until(() => service.begun() > begun, 'the upload has reached the service');
    client.socket.destroy();
    await expectFate(lane, { ...left, method: 'POST' });
  });

  it('with several requests on its connection is counted once for each that was in flight', async () => {
    const lane = busy.next();
    const begun = service.begun();
    const client = await connect(gateway);
    client.socket.write(head('GET', lane, 'hang').repeat(3));
    await until(() => service.begun() > begun, 'a call has reached the service');
    const before = await admin.scrape();
    const inFlight = before.total('gateway_requests_in_flight');
    expect(inFlight).toBeGreaterThan(0);
    client.socket.destroy();
    await admin.expectSamples('gateway_requests_in_flight', {}, [{ labels: {}, value: 0 }]);
    const asked = { client: lane.client };
    await admin.expectGrowth(
      before,
      'gateway_http_requests_total',
      { ...asked, status: '499', source: 'gateway' },
      inFlight,
    );
    await admin.expectGrowth(before, 'gateway_http_requests_total', asked, inFlight);
  });

  it('or breaks its own chunks, is counted once, as the request that it began', async () => {
    const lane = patient.next();
    const rest = 'Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nZZ\r\n';
    await sendRaw(gateway, head('POST', lane, 'upload', rest));
    const { client, prefix: route } = lane;
    await expect
      .poll(async () => (await admin.scrape()).total('gateway_http_requests_total', { client, route }))
      .toBe(1);
  });

  it('is in the log once, without a stage that refused', async () => {
    const lane = patient.next();
    await sendRaw(gateway, head('GET', lane, 'begin'), { until: (text) => text.includes(beginning) });
    const line = await gateway.waitForLog(({ client }) => client === lane.client);
    expect(line).toMatchObject({
      msg: 'request',
      route: lane.prefix,
      service: lane.service,
      status: 499,
      source: 'gateway',
      upstreamMs: expect.any(Number),
    });
    expect(line).not.toHaveProperty('refusedBy');
  });

  function head(method: string, lane: Lane, word: string, rest = '\r\n'): string {
    const key = lane.headers['X-API-Key'];
    return `${method} ${lane.prefix}/${word} HTTP/1.1\r\nHost: gateway\r\nX-API-Key: ${key}\r\n${rest}`;
  }
});

describe('after all that', () => {
  it('every call was counted once and is in the log once', async () => {
    const lanes = [patient, hasty, dead].flatMap(({ taken }) => taken);
    const metrics = await admin.scrape();
    const lines = gateway.log().filter(({ msg }) => msg === 'request');
    const counts = lanes.map(({ client, service: name }) => [
      metrics.total('gateway_http_requests_total', { client }),
      metrics.total('gateway_upstream_duration_seconds_count', { service: name }),
      lines.filter((line) => line.client === client).length,
    ]);
    expect(lanes.length).toBeGreaterThan(20);
    expect(counts).toEqual(lanes.map(() => [1, 1, 1]));
  });

  it('nothing was counted that is not a request', async () => {
    const { find } = await admin.scrape();
    expect(find('gateway_http_requests_total', { route: 'none' })).toEqual([]);
  });

  it('nothing is in flight', async () => {
    await admin.expectSamples('gateway_requests_in_flight', {}, [{ labels: {}, value: 0 }]);
  });
});
