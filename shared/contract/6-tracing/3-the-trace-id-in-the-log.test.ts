// The log has the id of the trace, so that a line is found from the trace and the trace from a line. A
// request without one has a new id, and what the parser refuses has null. A secret in the trace fields or the
// query is in no log, no metric and no answer.

import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Admin, openMetrics, startObserved } from '../harness/admin.ts';
import { type Answer, answersIn, send, sendRaw } from '../harness/client.ts';
import { configFor, type Gateway } from '../harness/gateway.ts';
import { deadUrl, startUpstream, type Upstream } from '../harness/upstream.ts';

// Every secret contains this word, so that one search finds any secret where none may appear.
const canary = 'canary';

const key = 'the-key';
const made = /^(?!0{32})[\da-f]{32}$/;
let service: Upstream;
let gateway: Gateway;
let admin: Admin;

beforeAll(async () => {
  service = await startUpstream((request, response) => {
    request.on('end', () => {
      response.statusCode = request.url?.startsWith('/500') ? 500 : 200;
      response.end('ok');
    });
  });
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
        clients: [{ id: 'client-1', keySha256: [createHash('sha256').update(key).digest('hex')] }],
        rateLimit: { identified: { limit: 1, windowMs: 600_000 } },
        circuitBreaker: { failureThreshold: 5, cooldownMs: 600_000 },
        serverTiming: true,
      },
      6,
    ),
  ));
  for (let i = 0; i < 5; i++) expect((await send(gateway, '/failing/500')).status).toBe(500);
  expect((await send(gateway, '/a/1', { headers: { 'X-API-Key': key } })).status).toBe(200);
});

const lineAt = (path: string) => gateway.waitForLog((line) => line.msg === 'request' && line.path === path);

describe('the trace id in the log', () => {
  test.each<[status: number, prefix: string, headers?: Record<string, string>]>([
    [200, '/a'],
    [404, '/nowhere'],
    [400, '/a/%2e%2e'],
    [400, '/a/%zz'],
    [401, '/a', { 'X-API-Key': 'wrong' }],
    [401, '/locked'],
    [429, '/a', { 'X-API-Key': key }],
    [503, '/failing'],
    [502, '/dead'],
  ])('is that of the traceparent, or a new one: %i, %s', async (status, prefix, headers = {}) => {
    const given = createHash('md5').update(`${status} ${prefix}`).digest('hex');
    const traced = `${prefix}/traced-${status}`;
    const traceparent = `00-${given}-b7ad6b7169203331-01`;
    expect((await send(gateway, traced, { headers: { ...headers, traceparent } })).status).toBe(status);
    expect((await lineAt(traced)).traceId).toBe(given);

    const untraced = `${prefix}/untraced-${status}`;
    expect((await send(gateway, untraced, { headers })).status).toBe(status);
    expect((await lineAt(untraced)).traceId).toMatch(made);
  });

  test('is another one for each request without a traceparent, whatever its fate', async () => {
    const ids: unknown[] = [];
    for (let i = 0; i < 5; i++) {
      for (const [prefix, status] of Object.entries({
        '/a': 200,
        '/nowhere': 404,
        '/locked': 401,
        '/a/%zz': 400,
      })) {
        expect((await send(gateway, `${prefix}/another-${i}`)).status).toBe(status);
        ids.push((await lineAt(`${prefix}/another-${i}`)).traceId);
      }
    }
    expect(new Set(ids).size).toBe(20);
  });

  test.each([
    ['an unknown method', 'FETCH /a/hidden HTTP/1.1\r\nHost: a\r\n'],
    ['a length that is no number', 'POST /a/hidden HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n'],
    ['17 KiB of header fields', `GET /a/hidden HTTP/1.1\r\nHost: a\r\nX-Big: ${'a'.repeat(17_000)}\r\n`],
  ])('is null for what the parser refuses: %s', async (_what, head) => {
    const fields = `traceparent: 00-${'f'.repeat(32)}-b7ad6b7169203331-01\r\n\r\n`;
    const [answer] = answersIn((await sendRaw(gateway, head + fields)).text);
    const id = answer?.headers['x-request-id'];
    expect(await gateway.waitForLog((line) => line.id === id)).toMatchObject({ path: null, traceId: null });
  });
});

describe('a secret in the trace fields and in the query', () => {
  const answers: Answer[] = [];

  beforeAll(async () => {
    service.seen.length = 0;
    const fates: Array<[target: string, apiKey?: string]> = [
      ['/a/1'],
      ['/failing/1'],
      ['/dead/1'],
      ['/nowhere'],
      ['/locked/1'],
      ['/a/1', 'wrong'],
      ['/a/1', key],
      ['/a/%2e%2e/x'],
      ['/a/%zz'],
    ];
    for (const traceparent of [`00-${canary}-01`, `00-${'f'.repeat(32)}-b7ad6b7169203331-01-${canary}`]) {
      for (const [target, apiKey] of fates) {
        const headers = {
          ...(apiKey === undefined ? {} : { 'X-API-Key': apiKey }),
          traceparent,
          tracestate: `${canary}=${canary}`,
        };
        answers.push(await send(gateway, `${target}?token=${canary}`, { headers }));
      }
    }
    await send(gateway, '/nowhere/last');
    await lineAt('/nowhere/last');
  });

  test('has met every fate', () => {
    const statuses = new Set(answers.map(({ status }) => status));
    expect([...statuses].sort()).toEqual([200, 400, 401, 404, 429, 502, 503]);
  });

  test('is not in the log', () => {
    expect(gateway.stdout() + gateway.stderr()).not.toContain(canary);
  });

  test.each(['/metrics', '/circuits', '/ready', '/health'])('is not in %s', async (path) => {
    for (const accept of ['*/*', openMetrics]) {
      const answer = await send(admin, path, { headers: { Accept: accept } });
      expect(answer.status).toBe(200);
      expect(answer.text + answer.rawHeaders.join('\n')).not.toContain(canary);
    }
  });

  test('is in no answer, nor in its Server-Timing', () => {
    for (const { headers, text, rawHeaders } of answers) {
      expect(headers).toHaveProperty('server-timing');
      expect(text + rawHeaders.join('\n')).not.toContain(canary);
    }
  });

  test('reaches the service in the query alone', () => {
    expect(service.seen.map(({ target }) => target)).toEqual(Array(2).fill(`/1?token=${canary}`));
    for (const { rawHeaders } of service.seen) expect(rawHeaders.join('\n')).not.toContain(canary);
  });
});
