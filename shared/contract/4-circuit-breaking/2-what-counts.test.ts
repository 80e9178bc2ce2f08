// Only the service can fail: no connection, no answer in time, a broken answer, or a status that says so. Any
// other complete answer is a success, 404 and 429 too. The result is known when the body has ended, not when
// the header fields come.

import type http from 'node:http';
import { describe, expect, test } from 'vitest';
import { expectProblem, type SendOptions, until } from '../harness/client.ts';
import { expectBegun } from '../harness/upstream.ts';
import {
  call,
  expectFailures,
  expectOpen,
  hold,
  newHastyService,
  newService,
  outcome,
  status,
  threshold,
} from './circuits.ts';

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
    expectBegun(service.upstream, threshold);
    expectOpen(await call(service));
    expectBegun(service.upstream, threshold);
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
    expectBegun(service.upstream, threshold);
    expectOpen(await call(service));
    expectBegun(service.upstream, threshold);
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
    expectBegun(service.upstream, 2 * threshold);
    await expectFailures(service, 0);
  });
});
