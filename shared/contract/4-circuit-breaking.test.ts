import { createHash } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Answer,
  expectProblem,
  type SendOptions,
  send,
  sendRaw,
  until,
  writeThenRead,
} from './harness/client.ts';
import { configFor, type Gateway, startAndFail, startGateway } from './harness/gateway.ts';
import { policyOf, quotaOf } from './harness/rate-limit-fields.ts';
import { type RedisServer, redisAvailable, startRedis } from './harness/redis.ts';
import { startUpstream, type Upstream } from './harness/upstream.ts';

const threshold = 3;
const cooldownMs = 1_500;
const hastyMs = 500;
// Added to the time limits of the contract, because a busy machine is late.
const noiseMs = 3_000;

/** A service whose behaviour the test sets. */
interface Service {
  name: string;
  target: string;
  upstream: Upstream;
  behave(next: http.RequestListener): void;
}

let patient: Service[];
/** Services with a short timeoutMs. */
let hasty: Service[];
let redis: RedisServer | undefined;
/** Its cooldown of 30 s is longer than any test. It limits identified clients to 6 calls. */
let gateway: Gateway;
/** Another process with the same services; its cooldown is short. */
let quick: Gateway;
const keys = ['key-a', 'key-b', 'key-c', 'key-d'];

async function startService(name: string): Promise<Service> {
  let behaviour = status(200);
  const upstream = await startUpstream((request, response) => behaviour(request, response));
  return {
    name,
    target: `/${name}/x`,
    upstream,
    behave(next) {
      behaviour = next;
    },
  };
}

beforeAll(async () => {
  const start = (kind: string, count: number) =>
    Promise.all(Array.from({ length: count }, (_, i) => startService(`${kind}-${i}`)));
  [patient, hasty, redis] = await Promise.all([
    start('patient', 110),
    start('hasty', 10),
    redisAvailable ? startRedis() : undefined,
  ]);
  const shared = patient[0] as Service;
  const twin = patient[1] as Service;
  const services = Object.fromEntries([
    ...patient.map(({ name, upstream }) => [name, { url: upstream.url, timeoutMs: 10_000 }]),
    ...hasty.map(({ name, upstream }) => [name, { url: upstream.url, timeoutMs: hastyMs }]),
    ['twin', { url: twin.upstream.url, timeoutMs: 10_000 }],
  ]);
  const parts = {
    services,
    routes: [
      ...Object.keys(services).map((name) => ({ prefix: `/${name}`, service: name })),
      { prefix: '/second', service: shared.name },
      { prefix: '/locked', service: shared.name, access: 'protected' as const },
    ],
    clients: keys.map((key) => ({
      id: `client-${key}`,
      keySha256: [createHash('sha256').update(key).digest('hex')],
    })),
  };
  [gateway, quick] = await Promise.all([
    startGateway(
      configFor(
        {
          ...parts,
          rateLimit: { identified: { limit: 6, windowMs: 60_000 } },
          circuitBreaker: { failureThreshold: threshold, cooldownMs: 30_000 },
        },
        4,
      ),
    ),
    startGateway(configFor({ ...parts, circuitBreaker: { failureThreshold: threshold, cooldownMs } }, 4), {
      env: { REDIS_URL: redis?.url ?? '' },
    }),
  ]);
  // The first two are used by several routes and services of the config.
  nextPatient = 2;
});

afterAll(async () => {
  await Promise.all([gateway?.stop(), quick?.stop()]);
  await redis?.close();
});

let nextPatient = 0;
let nextHasty = 0;
/** A service that no other test uses, so that its circuit belongs to the test alone. */
const newService = () => patient[nextPatient++] as Service;
const newHastyService = () => hasty[nextHasty++] as Service;

const call = (service: Service, options?: SendOptions, through = gateway): Promise<Answer> =>
  send(through, service.target, options);

/** The status that a client got, or 'cut' when the answer was incomplete. */
const outcome = (service: Service, options?: SendOptions, through = gateway): Promise<number | 'cut'> =>
  call(service, options, through).then(
    (answer) => answer.status,
    () => 'cut',
  );

/** A handler that answers with this status and these headers. */
function status(code: number, headers: http.OutgoingHttpHeaders = {}): http.RequestListener {
  return (_request, response) => {
    response.writeHead(code, headers);
    response.end();
  };
}

/** Holds the answers of the service until the test sends them. */
function hold(service: Service): { held: http.ServerResponse[]; count(wanted: number): Promise<void> } {
  const held: http.ServerResponse[] = [];
  service.behave((_request, response) => {
    held.push(response);
  });
  return {
    held,
    count: (wanted) => until(() => held.length >= wanted, `${wanted} calls have reached ${service.name}`),
  };
}

function give(response: http.ServerResponse | undefined, code: number): void {
  response?.writeHead(code).end();
}

function expectOpen(answer: Answer): number {
  expectProblem(answer, 503, 'circuit-open');
  expect(answer.headers['retry-after']).toMatch(/^[1-9]\d*$/);
  return Number(answer.headers['retry-after']);
}

/** Opens the circuit with consecutive failures. The cooldown began between `earliest` and `latest`. */
async function trip(service: Service, through = gateway): Promise<{ earliest: number; latest: number }> {
  service.behave(status(500));
  let earliest = 0;
  for (let i = 0; i < threshold; i++) {
    earliest = Date.now();
    expect(await outcome(service, {}, through)).toBe(500);
  }
  return { earliest, latest: Date.now() };
}

/** Asserts that the circuit is closed and has counted `failures` failures, by making it open. */
async function expectFailures(service: Service, failures: number, through = gateway): Promise<void> {
  service.behave(status(500));
  for (let i = failures; i < threshold; i++) {
    expect(await outcome(service, {}, through), `failure ${i + 1}`).toBe(500);
  }
  expectOpen(await call(service, {}, through));
}

/** A call that an open circuit refused. */
interface Refusal {
  sent: number;
  received: number;
  retryAfter: number;
}

/** Calls through the quick gateway until the service is reached; returns its answer and the refusals before. */
async function untilClosed(service: Service): Promise<{ answer: Answer; at: number; refusals: Refusal[] }> {
  const refusals: Refusal[] = [];
  const before = service.upstream.begun();
  let passed: { answer: Answer; at: number } | undefined;
  await until(
    async () => {
      const sent = Date.now();
      const answer = await call(service, {}, quick);
      const received = Date.now();
      if (service.upstream.begun() > before) passed = { answer, at: received };
      else refusals.push({ sent, received, retryAfter: expectOpen(answer) });
      return passed !== undefined;
    },
    `the circuit of ${service.name} closes`,
    4 * cooldownMs,
  );
  return { ...(passed as { answer: Answer; at: number }), refusals };
}

const logged = (message: string, service: Service) =>
  quick.log().filter((line) => line.msg === message && line.service === service.name);

/** Waits for the log lines of the quick gateway with this message and service, and asserts their number. */
async function expectLogged(message: string, service: Service, times: number): Promise<void> {
  await until(() => logged(message, service).length >= times, `"${message}" is in the log`);
  expect(logged(message, service)).toHaveLength(times);
}

describe('a circuit', () => {
  test('opens at the failure that reaches the threshold, not before and not after', async () => {
    const service = newService();
    await trip(service);
    for (let i = 0; i < 5; i++) expectOpen(await call(service));
    expect(service.upstream.begun()).toBe(threshold);
  });

  test('stays closed when a success comes in between', async () => {
    const service = newService();
    for (const code of [500, 500, 200, 500, 500, 200, 500, 200, 500, 500]) {
      service.behave(status(code));
      expect(await outcome(service)).toBe(code);
    }
    await expectFailures(service, 2);
  });

  test('passes the answer that opens it on unchanged', async () => {
    const service = newService();
    service.behave((_request, response) => {
      response.writeHead(503, { 'retry-after': '77', 'x-mark': ['1', '2'], 'content-type': 'text/plain' });
      response.end('the service itself is sorry');
    });
    const answers: Answer[] = [];
    for (let i = 0; i < threshold; i++) answers.push(await call(service));
    for (const answer of answers) {
      expect({ status: answer.status, text: answer.text }).toEqual({
        status: 503,
        text: 'the service itself is sorry',
      });
      expect(answer.headers).toMatchObject({
        'retry-after': '77',
        'x-mark': '1, 2',
        'content-type': 'text/plain',
      });
    }
    expectOpen(await call(service));
    expect(service.upstream.begun()).toBe(threshold);
  });

  test('refuses at once while it is open: the service hears nothing, not even a connection', async () => {
    const service = newService();
    await trip(service);
    const heard = () => [service.upstream.begun(), service.upstream.connections()];
    const before = heard();
    const times: number[] = [];
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'GET', 'GET', 'GET']) {
      const begin = performance.now();
      expectOpen(
        await call(service, { method, ...(method.startsWith('P') ? { body: 'x'.repeat(10_000) } : {}) }),
      );
      times.push(performance.now() - begin);
    }
    const head = await call(service, { method: 'HEAD' });
    expect({ status: head.status, body: head.text }).toEqual({ status: 503, body: '' });
    expect(head.headers['retry-after']).toMatch(/^(30|2\d)$/);
    expect(heard()).toEqual(before);
    expect(times.sort((a, b) => a - b)[4], 'median milliseconds').toBeLessThan(100);
  });

  test('refuses an upload with the connection left in order', async () => {
    const service = newService();
    await trip(service);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    expectOpen(await call(service, { method: 'POST', agent, body: Buffer.alloc(1024 * 1024, 'x') }));
    expect((await send(gateway, '/health', { agent })).json()).toEqual({ status: 'ok' });
    agent.destroy();
  });

  test('refuses an upload with an answer for a client that writes 1 MB first', async () => {
    const service = newService();
    await trip(service);
    const upload = `POST ${service.target} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(1_000_000)}`;
    const answers = await Promise.all(Array.from({ length: 20 }, () => writeThenRead(gateway, upload)));
    expect(answers.map((all) => all.length)).toEqual(answers.map(() => 1));
    for (const answer of answers.flat()) expectOpen(answer);
  });

  test('leaves the health check alone', async () => {
    await trip(newService());
    expect((await send(gateway, '/health')).status).toBe(200);
  });

  test('is told in the log: once when it opens, by each refusal, once when it closes', async () => {
    const service = newService();
    await trip(service, quick);
    await send(quick, `/${service.name}/refused`);
    const refusal = await quick.waitForLog(({ path }) => path === `/${service.name}/refused`);
    expect(refusal).toMatchObject({ status: 503, refusedBy: 'circuit', service: service.name });
    await expectLogged('circuit opened', service, 1);
    expect(logged('circuit closed', service)).toEqual([]);
    service.behave(status(200));
    await untilClosed(service);
    expect(await outcome(service, {}, quick)).toBe(200);
    await expectLogged('circuit closed', service, 1);
    expect(logged('circuit opened', service)).toMatchObject([{ level: 40 }]);
    expect(logged('circuit closed', service)).toMatchObject([{ level: 30 }]);
  });

  test('closes without any traffic: no call is made, and the log says so in time', async () => {
    const service = newService();
    await trip(service, quick);
    const is = (message: string) => (line: Record<string, unknown>) =>
      line.msg === message && line.service === service.name;
    const opening = await quick.waitForLog(is('circuit opened'));
    expect(opening).toMatchObject({ level: 40, cooldownMs });
    const closing = await quick.waitForLog(is('circuit closed'), cooldownMs + 2 * noiseMs);
    expect(closing.level).toBe(30);
    const ms = Number(closing.time) - Number(opening.time);
    expect(ms).toBeGreaterThan(cooldownMs - 50);
    expect(ms).toBeLessThan(cooldownMs + noiseMs);
    // Later calls must not log the closing again.
    service.behave(status(200));
    for (const path of ['after', 'last'])
      expect((await send(quick, `/${service.name}/${path}`)).status).toBe(200);
    await quick.waitForLog(({ path }) => path === `/${service.name}/last`);
    await expectLogged('circuit opened', service, 1);
    await expectLogged('circuit closed', service, 1);
  });
});

describe.concurrent('a failure is', () => {
  const cases: Array<[string, http.RequestListener, SendOptions?]> = [
    ...[500, 502, 503, 504, 507, 511, 599].map((code): [string, http.RequestListener] => [
      `a status ${code}`,
      status(code),
    ]),
    ['a status 503 with Retry-After: 0', status(503, { 'retry-after': '0' })],
    ['a status 500 to HEAD', status(500), { method: 'HEAD' }],
    ['a status 500 to POST', status(500), { method: 'POST', body: 'x' }],
    ['a status 600', status(600)],
    ['a reset before the answer', (request) => void request.socket.resetAndDestroy()],
    ['a connection closed before the answer', (request) => void request.socket.destroy()],
    ['an answer that is not HTTP', (request) => void request.socket.end('garbage\r\n\r\n')],
    ['an answer with 20 KiB of headers', status(200, { 'x-large': 'x'.repeat(20_000) })],
    [
      'an answer cut short of its length',
      (_request, response) => {
        response.writeHead(200, { 'content-length': '1000' });
        response.write('the beginning', () => response.socket?.destroy());
      },
    ],
    [
      'an answer reset within a chunked body',
      (_request, response) => {
        response.writeHead(200);
        response.write('the beginning', () => response.socket?.resetAndDestroy());
      },
    ],
    [
      'a chunk that is none',
      (request) =>
        void request.socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nZZ\r\n'),
    ],
  ];

  test.each(cases)('%s, and it is not retried', async (_what, behaviour, options) => {
    const service = newService();
    service.behave(behaviour);
    for (let i = 0; i < threshold; i++) await outcome(service, options);
    expect(service.upstream.begun()).toBe(threshold);
    expectOpen(await call(service));
    expect(service.upstream.begun()).toBe(threshold);
  });

  test('a refused connection', async () => {
    const service = newService();
    await service.upstream.close();
    for (let i = 0; i < threshold; i++) expectProblem(await call(service), 502, 'upstream-unreachable');
    expectOpen(await call(service));
  });

  test('no answer in time', async () => {
    const service = newHastyService();
    hold(service);
    for (let i = 0; i < threshold; i++) expectProblem(await call(service), 504, 'upstream-timeout');
    expect(service.upstream.begun()).toBe(threshold);
    expectOpen(await call(service));
    expect(service.upstream.begun()).toBe(threshold);
  });

  test('any of these: they count together', async () => {
    const service = newService();
    service.behave((request) => void request.socket.destroy());
    expectProblem(await call(service), 502, 'upstream-reset');
    service.behave(status(502));
    expect(await outcome(service)).toBe(502);
    service.behave((_request, response) => {
      response.writeHead(200, { 'content-length': '9' });
      response.write('part', () => response.socket?.destroy());
    });
    expect(await outcome(service)).toBe('cut');
    expectOpen(await call(service));
  });

  test('known when the body has ended, not when the headers come', async () => {
    const service = newService();
    service.behave(status(500));
    for (let i = 1; i < threshold; i++) await outcome(service);
    // These headers look like a success, but the call can still fail until its body has ended.
    let unfinished: http.ServerResponse | undefined;
    service.behave((_request, response) => {
      unfinished = response;
      response.writeHead(200);
      response.write('the beginning');
    });
    const slow = call(service);
    await until(() => unfinished !== undefined, 'the answer has begun');
    service.behave(status(500));
    expect(await outcome(service)).toBe(500);
    expectOpen(await call(service));
    unfinished?.end(' and the end');
    expect((await slow).text).toBe('the beginning and the end');
    expectOpen(await call(service));
  });
});

describe.concurrent('a success is', () => {
  const cases: Array<[string, http.RequestListener, SendOptions?]> = [
    ...[
      200, 201, 204, 206, 301, 304, 400, 401, 403, 404, 408, 409, 410, 413, 418, 422, 429, 431, 451, 499,
    ].map((code): [string, http.RequestListener] => [`a status ${code}`, status(code)]),
    ['a 304 with Content-Length', status(304, { 'content-length': '1000' })],
    ['the answer to HEAD with Content-Length', status(200, { 'content-length': '1000' }), { method: 'HEAD' }],
    ['a 404 to HEAD with Content-Length', status(404, { 'content-length': '1000' }), { method: 'HEAD' }],
    ['an empty answer to POST', status(200, { 'content-length': '0' }), { method: 'POST', body: 'x' }],
    ['an answer that closes the connection', status(200, { connection: 'close' })],
    [
      'an answer after 103 Early Hints',
      (_request, response) => {
        response.writeEarlyHints({ link: '</style.css>; rel=preload' });
        response.end('fine');
      },
    ],
    [
      'an answer that ends with the connection',
      (request) => void request.socket.end('HTTP/1.0 200 OK\r\n\r\nuntil the connection ends'),
    ],
    [
      'an answer with trailers',
      (_request, response) => {
        response.writeHead(200, { trailer: 'x-sum' });
        response.write('body');
        response.addTrailers({ 'x-sum': '1' });
        response.end();
      },
    ],
  ];

  test.each(cases)('%s: it resets the count', async (_what, behaviour, options) => {
    const service = newService();
    for (let round = 0; round < 2; round++) {
      service.behave(status(500));
      for (let i = 1; i < threshold; i++) expect(await outcome(service)).toBe(500);
      service.behave(behaviour);
      expect(await outcome(service, options)).not.toBe('cut');
    }
    expect(service.upstream.begun()).toBe(2 * threshold);
    await expectFailures(service, 0);
  });
});

/** Opens a connection, sends bytes and leaves it open. */
async function connectAndSend(bytes: string): Promise<net.Socket> {
  const socket = net.connect(gateway.port, gateway.host);
  socket.on('error', () => {});
  socket.resume();
  await new Promise((resolve) => socket.write(Buffer.from(bytes, 'latin1'), resolve));
  return socket;
}

/** Answers when the whole request has arrived. */
const whenComplete: http.RequestListener = (request, response) => {
  request.on('end', () => response.end('complete'));
};

describe.concurrent('what a client does counts neither way:', () => {
  test('it leaves before the answer', async () => {
    const service = newService();
    let closed = 0;
    service.behave((_request, response) => void response.on('close', () => closed++));
    for (let i = 1; i <= 2 * threshold; i++) {
      const leave = new AbortController();
      const left = outcome(service, { signal: leave.signal });
      await until(() => service.upstream.begun() === i, 'the call has reached the service');
      leave.abort();
      await left;
      await until(() => closed === i, 'the call to the service is cancelled');
    }
    await expectFailures(service, 0);
  });

  test('it leaves within the answer', async () => {
    const service = newService();
    let closed = 0;
    service.behave((_request, response) => {
      response.on('close', () => closed++);
      response.writeHead(200, { 'content-length': '1000' });
      response.write('the beginning');
    });
    for (let i = 1; i <= 2 * threshold; i++) {
      const request = `GET ${service.target} HTTP/1.1\r\nHost: gateway\r\n\r\n`;
      await sendRaw(gateway, request, { until: (text) => text.includes('the beginning') });
      await until(() => closed === i, 'the call to the service is cancelled');
    }
    await expectFailures(service, 0);
  });

  test.each([
    ['with a length', 'Content-Length: 100000\r\n\r\nthe beginning'],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\nd\r\nthe beginning\r\n'],
  ])('it leaves within its upload %s', async (_how, rest) => {
    const service = newService();
    let closed = 0;
    service.behave((request, response) => {
      response.on('close', () => closed++);
      whenComplete(request, response);
    });
    for (let i = 1; i <= 2 * threshold; i++) {
      const socket = await connectAndSend(`POST ${service.target} HTTP/1.1\r\nHost: gateway\r\n${rest}`);
      await until(() => service.upstream.begun() === i, 'the upload has reached the service');
      if (i % 2) socket.destroy();
      else socket.end();
      await until(() => closed === i, 'the call to the service is cancelled');
      socket.destroy();
    }
    await expectFailures(service, 0);
  });

  test('it leaves between two failures', async () => {
    const service = newService();
    service.behave(status(500));
    for (let i = 1; i < threshold; i++) expect(await outcome(service)).toBe(500);
    let closed = false;
    service.behave((_request, response) => {
      response.on('close', () => {
        closed = true;
      });
    });
    const leave = new AbortController();
    const left = outcome(service, { signal: leave.signal });
    await until(() => service.upstream.begun() === threshold, 'the call has reached the service');
    leave.abort();
    await left;
    await until(() => closed, 'the call to the service is cancelled');
    await expectFailures(service, threshold - 1);
  });

  test.each([501, 505])('it sends what the service answers with %i', async (code) => {
    const service = newService();
    service.behave(status(500));
    for (let i = 1; i < threshold; i++) expect(await outcome(service)).toBe(500);
    service.behave(status(code));
    for (let i = 0; i < 2 * threshold; i++) expect(await outcome(service, { method: 'LOCK' })).toBe(code);
    await expectFailures(service, threshold - 1);
  });

  test('it uploads so slowly that the service cannot answer in time', async () => {
    const service = newHastyService();
    service.behave(whenComplete);
    const request = `POST ${service.target} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100000\r\n\r\nthe beginning`;
    const sockets = await Promise.all(Array.from({ length: 2 * threshold }, () => connectAndSend(request)));
    await until(() => service.upstream.begun() === 2 * threshold, 'all uploads have reached the service');
    const later = Date.now() + 3 * hastyMs;
    await until(() => Date.now() > later, 'three times timeoutMs has passed');
    for (const socket of sockets) socket.destroy();
    await expectFailures(service, 0);
  });

  test('it breaks its own chunks', async () => {
    const service = newService();
    service.behave(whenComplete);
    for (let i = 0; i < 2 * threshold; i++) {
      const { text } = await sendRaw(
        gateway,
        `POST ${service.target} HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nZZ\r\n`,
      );
      expect(text).not.toMatch(/^HTTP\/1\.1 [25]/);
    }
    await expectFailures(service, 0);
  });

  test('it sends chunks that are more framing than data', async () => {
    const service = newService();
    let closed = 0;
    service.behave((request, response) => {
      response.on('close', () => closed++);
      whenComplete(request, response);
    });
    for (let i = 1; i <= 2 * threshold; i++) {
      const client = await connectAndSend(
        `POST ${service.target} HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`,
      );
      await until(() => service.upstream.begun() === i, 'the upload has reached the service');
      let text = '';
      client.setEncoding('latin1').on('data', (part: string) => {
        text += part;
      });
      client.write('1\r\nx\r\n'.repeat(40_000));
      await until(() => client.destroyed, 'the connection is closed');
      expect(text).toMatch(/^HTTP\/1\.1 400 /);
      await until(() => closed === i, 'the call to the service is cancelled');
    }
    await expectFailures(service, 0);
  });

  const wellFormed: Array<[string, string, string, string]> = [
    ['Expect: 100-continue', 'POST', 'Expect: 100-continue\r\nContent-Length: 1', 'x'],
    ['Expect in capitals', 'POST', 'EXPECT: 100-CONTINUE\r\nContent-Length: 1', 'x'],
    ['a bare Keep-Alive', 'GET', 'Keep-Alive: timeout=5', ''],
    ['a bare Upgrade', 'GET', 'Upgrade: websocket', ''],
    ['an upgrade to HTTP/2', 'GET', 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA', ''],
    ['Proxy-Connection', 'GET', 'Proxy-Connection: keep-alive', ''],
    ['TE and Trailer', 'GET', 'TE: trailers, gzip\r\nTrailer: x-sum', ''],
    ['bytes above 127 in a field', 'GET', 'X-Odd: caf\xe9 \xff', ''],
    ['an empty field', 'GET', 'X-Empty:', ''],
    ['a field of odd letters', 'GET', "X-!#$%&'*+.^_|~: 1", ''],
    ['a body on GET', 'GET', 'Content-Length: 1', 'x'],
    ['an empty POST', 'POST', 'Content-Length: 0', ''],
    ['an empty POST in chunks', 'POST', 'Transfer-Encoding: chunked', '0\r\n\r\n'],
    ['trailers in its upload', 'POST', 'Transfer-Encoding: chunked', '1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n'],
    ['a method of WebDAV', 'PROPFIND', 'Depth: 1', ''],
  ];
  test.each(wellFormed)('it sends %s', async (_what, method, fields, body) => {
    const service = newService();
    service.behave(whenComplete);
    const head = `${method} ${service.target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n${fields}\r\n\r\n`;
    for (let i = 0; i < 2 * threshold; i++) {
      const { text } = await sendRaw(gateway, head + body);
      // The interim 100 Continue comes first when the request has Expect.
      expect(text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '')).toMatch(/^HTTP\/1\.1 200 /);
    }
    await expectFailures(service, 0);
  });

  const malformed: Array<[string, string]> = [
    ['a length and chunks', 'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['an unknown transfer coding', 'Transfer-Encoding: odd\r\n\r\n'],
    ['two lengths', 'Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx'],
    ['a negative length', 'Content-Length: -1\r\n\r\n'],
    ['two hosts', 'Host: other\r\nContent-Length: 0\r\n\r\n'],
    ['20 KiB of headers', `X-Large: ${'x'.repeat(20_000)}\r\n\r\n`],
  ];
  test.each(malformed)('it sends %s', async (_what, rest) => {
    const service = newService();
    for (let i = 0; i < 2 * threshold; i++) {
      const { text } = await sendRaw(
        gateway,
        `POST ${service.target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n${rest}`,
      );
      expect(text).toMatch(/^HTTP\/1\.1 4/);
    }
    expect(service.upstream.begun()).toBe(0);
    await expectFailures(service, 0);
  });
});

describe('one circuit per service', () => {
  test('is shared by the routes to it, asked after 404 and 401, and no other service is affected', async () => {
    const shared = patient[0] as Service;
    const neighbour = newService();
    shared.behave(status(500));
    const targets = [shared.target, '/second/x', shared.target];
    for (const target of targets) expect((await send(gateway, target)).status).toBe(500);
    for (const target of [shared.target, '/second/x', '/second']) expectOpen(await send(gateway, target));
    expectOpen(await send(gateway, '/locked/x', { headers: { 'X-API-Key': 'key-c' } }));
    expectProblem(await send(gateway, '/locked/x'), 401, 'key-required');
    expectProblem(
      await send(gateway, shared.target, { headers: { 'X-API-Key': 'wrong' } }),
      401,
      'unknown-key',
    );
    expectProblem(await send(gateway, '/seconds'), 404, 'no-route');
    expect(shared.upstream.begun()).toBe(targets.length);
    expect(await outcome(neighbour)).toBe(200);
  });

  test('is the circuit of the name, not of the URL', async () => {
    const twin = patient[1] as Service;
    await trip(twin);
    expect((await send(gateway, '/twin/x')).status).toBe(500);
    twin.behave(status(200));
    expect((await send(gateway, '/twin/x')).status).toBe(200);
    expectOpen(await call(twin));
  });

  test('is local to the process: another one stays closed', async () => {
    const service = newService();
    await trip(service);
    expectOpen(await call(service));
    expect(await outcome(service, {}, quick)).toBe(500);
    service.behave(status(200));
    expect(await outcome(service, {}, quick)).toBe(200);
    expectOpen(await call(service));
  });
});

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
    expect(service.upstream.begun()).toBe(2 * threshold);
  });

  test('ends for everybody at once: nobody is sent ahead to probe', async () => {
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
    expect(service.upstream.begun()).toBe(threshold);
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

describe.concurrent('the config', () => {
  const services = { a: { url: 'http://127.0.0.1:9', timeoutMs: 1_000 } };
  const routes = [{ prefix: '/a', service: 'a' }];

  test.each([
    [{ failureThreshold: 0, cooldownMs: -1, halfOpen: true }, ['failureThreshold', 'cooldownMs', 'halfOpen']],
    [{ failureThreshold: 1.5, cooldownMs: '30000' }, ['failureThreshold', 'cooldownMs']],
    [{ cooldownMs: null }, ['failureThreshold', 'cooldownMs']],
  ])('is refused with %j, and says all that is wrong', async (circuitBreaker, fields) => {
    const { code, stderr } = await startAndFail(configFor({ services, routes, circuitBreaker }, 4));
    expect(code).toBe(1);
    expect(stderr).toContain('circuitBreaker');
    for (const field of fields) expect(stderr).toContain(field);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('is refused without the section', async () => {
    const config = configFor({ services, routes }, 4);
    delete config.circuitBreaker;
    const { code, stderr } = await startAndFail(config);
    expect(code).toBe(1);
    expect(stderr).toContain('circuitBreaker');
  });
});
