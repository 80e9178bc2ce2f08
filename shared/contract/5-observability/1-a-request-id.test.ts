// Every request has an id, so that its line in the log, its answer and the log of the service can be found
// together. The gateway keeps a well-formed id of the client and makes one otherwise. Every refusal has it
// too, in its header, its body and the log.

import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { startObserved } from '../harness/admin.ts';
import { type Answer, answersIn, expectProblem, type SendOptions, send, sendRaw } from '../harness/client.ts';
import { configFor, type Gateway } from '../harness/gateway.ts';
import { deadUrl, type Seen, startUpstream, type Upstream } from '../harness/upstream.ts';

let gateway: Gateway;
let service: Upstream;
const key = 'the-key';

beforeAll(async () => {
  service = await startUpstream((request, response) => {
    const [, word] = (request.url as string).split('/');
    if (word === 'hang') return;
    if (word === 'reset') request.socket.resetAndDestroy();
    if (word === 'own') response.setHeader('x-request-id', ['of-the-service', 'twice']);
    response.statusCode = Number(word) || 200;
    request.on('end', () => response.end(response.statusCode === 304 ? undefined : 'ok'));
  });
  ({ gateway } = await startObserved(
    configFor(
      {
        services: {
          a: { url: service.url, timeoutMs: 10_000 },
          hasty: { url: service.url, timeoutMs: 300 },
          failing: { url: service.url, timeoutMs: 10_000 },
          broken: { url: service.url, timeoutMs: 10_000 },
          dead: { url: await deadUrl(), timeoutMs: 10_000 },
        },
        routes: [
          { prefix: '/a', service: 'a' },
          { prefix: '/locked', service: 'a', access: 'protected' },
          { prefix: '/hasty', service: 'hasty' },
          { prefix: '/failing', service: 'failing' },
          { prefix: '/broken', service: 'broken' },
          { prefix: '/dead', service: 'dead' },
        ],
        clients: [{ id: 'client-1', keySha256: [createHash('sha256').update(key).digest('hex')] }],
        rateLimit: { identified: { limit: 1, windowMs: 600_000 } },
        circuitBreaker: { failureThreshold: 2, cooldownMs: 600_000 },
      },
      5,
    ),
  ));
});

/** The values of a header, one for each header line. */
function valuesOf(name: string, { rawHeaders }: Seen | Answer): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
}

let paths = 0;
/** Sends one request through to the service; returns its answer, what the service saw, and its log line. */
async function pass(fields: string[] = [], word = 'x') {
  const target = `/${word}/${++paths}`;
  const path = `/a${target}`;
  const answer = await send(gateway, path, { headers: fields });
  const [seen, ...others] = service.seen.filter((request) => request.target === target);
  expect(others).toEqual([]);
  const line = await gateway.waitForLog((entry) => entry.path === path);
  return { answer, seen: seen as Seen, line };
}

describe('the request id', () => {
  const made = /^[A-Za-z0-9._-]{1,128}$/;

  /** Asserts that client, service and log have the same single id, and returns it. */
  async function idOf(fields: string[], word?: string): Promise<string> {
    const { answer, seen, line } = await pass(fields, word);
    expect([200, 204, 304, 404, 500]).toContain(answer.status);
    const [id = '', ...more] = valuesOf('x-request-id', answer);
    expect(more).toEqual([]);
    expect(valuesOf('x-request-id', seen)).toEqual([id]);
    expect(line.id).toBe(id);
    return id;
  }

  test.each([
    'a',
    '7',
    '.',
    '-',
    '_',
    '0b3c2a54-5b0a-4b8e-9d7f-3a0f6a1c2d3e',
    'A.Z_a-z.0-9',
    '__proto__',
    'x'.repeat(128),
  ])('of the client is kept when it is well-formed: %s', async (id) => {
    expect(await idOf(['X-Request-Id', id])).toBe(id);
  });

  test('of the client is kept in any spelling of the name, and without the white space around it', async () => {
    expect(await idOf(['x-REQUEST-id', ' \tmine\t '])).toBe('mine');
  });

  test.each([
    ['none', []],
    ['an empty one', ['X-Request-Id', '']],
    ['a blank one', ['X-Request-Id', ' \t ']],
    ['129 letters', ['X-Request-Id', 'x'.repeat(129)]],
    ['4 KiB', ['X-Request-Id', 'x'.repeat(4_096)]],
    ['a space within', ['X-Request-Id', 'a b']],
    ['a tab within', ['X-Request-Id', 'a\tb']],
    ['a comma', ['X-Request-Id', 'a,b']],
    ['a slash', ['X-Request-Id', 'a/b']],
    ['a plus', ['X-Request-Id', 'a+b']],
    ['an equals sign', ['X-Request-Id', 'ab==']],
    ['a colon', ['X-Request-Id', 'a:b']],
    ['quotes', ['X-Request-Id', '"ab"']],
    ['braces', ['X-Request-Id', '{ab}']],
    ['a percent-escape', ['X-Request-Id', 'a%0ab']],
    ['a letter outside ASCII', ['X-Request-Id', 'caf\xe9']],
    ['two of them', ['X-Request-Id', 'one', 'X-Request-Id', 'two']],
    ['the same twice', ['X-Request-Id', 'same', 'X-Request-Id', 'same']],
    ['one and an empty one', ['X-Request-Id', 'one', 'x-request-id', '']],
  ])('is made by the gateway for %s', async (_what, fields) => {
    const id = await idOf(fields);
    expect(id).toMatch(made);
    expect(fields).not.toContain(id);
    expect(id.length).toBeGreaterThanOrEqual(16);
  });

  test('reaches the service although Connection names the field', async () => {
    expect(await idOf(['X-Request-Id', 'mine', 'Connection', 'close, X-Request-Id'])).toMatch(made);
  });

  test('replaces what the service calls the request, however often it does', async () => {
    expect(await idOf(['X-Request-Id', 'mine'], 'own')).toBe('mine');
    expect(await idOf([], 'own')).not.toMatch(/of-the-service|twice/);
  });

  test.each(['204', '304', '404', '500'])('stands on the answer %s as well', async (word) => {
    expect(await idOf(['X-Request-Id', `mine-${word}`], word)).toBe(`mine-${word}`);
  });

  test('is another one for each request, also on one connection', async () => {
    const request = 'GET /a/many HTTP/1.1\r\nHost: a\r\n\r\n';
    const { text } = await sendRaw(gateway, request.repeat(100), {
      timeoutMs: 20_000, // a busy machine is late
      until: (received) => answersIn(received).length === 100,
    });
    const answers = answersIn(text);
    const ids = answers.map(({ headers }) => headers['x-request-id']);
    expect(new Set(ids).size).toBe(100);
    for (const id of ids) expect(id).toMatch(made);
    const seen = service.seen.filter(({ target }) => target === '/many');
    expect(seen.map(({ headers }) => headers['x-request-id'])).toEqual(ids);
  });

  test('is not given to the health check', async () => {
    const answer = await send(gateway, '/health', { headers: { 'X-Request-Id': 'mine' } });
    expect(answer.status).toBe(200);
    expect(answer.headers).not.toHaveProperty('x-request-id');
  });

  describe('of a refusal stands in its header, in its body, and in the log:', () => {
    const withKey = { 'X-API-Key': key };
    const cases: Array<[reason: string, status: number, target: string, options?: SendOptions]> = [
      ['bad-request', 400, '/a/%2e%2e/x'],
      ['bad-request', 400, '/a/%zz'],
      ['bad-request', 400, '*', { method: 'OPTIONS' }],
      ['no-route', 404, '/nowhere'],
      ['no-route', 404, '/a/x', { method: 'TRACE' }],
      ['unknown-key', 401, '/a/x', { headers: { 'X-API-Key': 'wrong' } }],
      ['key-required', 401, '/locked/x'],
      ['rate-limited', 429, '/locked/x', { headers: withKey }],
      ['circuit-open', 503, '/failing/x'],
      ['upstream-unreachable', 502, '/dead/x'],
      ['upstream-timeout', 504, '/hasty/hang'],
      ['upstream-reset', 502, '/broken/reset'],
    ];

    beforeAll(async () => {
      expect((await send(gateway, '/locked/x', { headers: withKey })).status).toBe(200);
      for (const status of [500, 500]) expect((await send(gateway, '/failing/500')).status).toBe(status);
    });

    test.each(cases)('%s, %i, %s', async (reason, status, target, options = {}) => {
      for (const given of [`mine-${reason}-${++paths}`, 'not well-formed']) {
        const headers = { ...(options.headers as object), 'X-Request-Id': given };
        const answer = await send(gateway, target, { ...options, headers });
        expectProblem(answer, status, reason);
        const [id = '', ...more] = valuesOf('x-request-id', answer);
        expect(more).toEqual([]);
        if (given.startsWith('mine')) expect(id).toBe(given);
        else expect(id).toMatch(made);
        expect(answer.json().requestId).toBe(id);
        expect(await gateway.waitForLog((line) => line.id === id)).toMatchObject({ msg: 'request', status });
      }
    });
  });
});
