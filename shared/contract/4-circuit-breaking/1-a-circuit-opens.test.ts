// A service that fails several times in a row gets no more calls for a while: its circuit is open, and the
// gateway answers 503 at once. Each service has one circuit, shared by all routes to it. A success in between
// sets the count back, and the log says when a circuit opens and closes.

import http from 'node:http';
import { describe, expect, test } from 'vitest';
import { type Answer, expectProblem, send, writeThenRead } from '../harness/client.ts';
import { configFor, startAndFail } from '../harness/gateway.ts';
import { expectBegun } from '../harness/upstream.ts';
import {
  call,
  cooldownMs,
  expectFailures,
  expectLogged,
  expectOpen,
  gateway,
  logged,
  newService,
  outcome,
  patient,
  quick,
  type Service,
  status,
  threshold,
  trip,
  untilClosed,
} from './circuits.ts';

// Added to the time limits of the contract, because a busy machine is late.
const noiseMs = 3_000;

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

describe('a circuit', () => {
  test('opens at the failure that reaches the threshold, not before and not after', async () => {
    const service = newService();
    await trip(service);
    for (let i = 0; i < 5; i++) expectOpen(await call(service));
    expectBegun(service.upstream, threshold);
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
    expectBegun(service.upstream, threshold);
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
    expectBegun(shared.upstream, targets.length);
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
