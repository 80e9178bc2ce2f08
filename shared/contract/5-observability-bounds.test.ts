import { createHash, randomBytes } from 'node:crypto';
import { METHODS } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Admin, startObserved } from './harness/admin.ts';
import { answersIn, sendRaw } from './harness/client.ts';
import { configFor, type Gateway } from './harness/gateway.ts';
import { startUpstream } from './harness/upstream.ts';

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

describe('10,000 requests with random paths, keys, addresses, methods, hosts and ids', () => {
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

function pick<T>(from: T[]): T {
  return from[Math.floor(Math.random() * from.length)] as T;
}
