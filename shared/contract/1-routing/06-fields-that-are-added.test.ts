// The service sees the gateway as its client, so the gateway tells it who asked and for what:
// X-Forwarded-For, -Proto, -Host, -Prefix and Via. A client can send the same fields, and they can be lies:
// the gateway replaces them. The name in Via also shows a request that comes back to the gateway, and ends
// the loop with 508.

import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../process/ports.ts';
import { type Answer, expectProblem, send } from '../harness/client.ts';
import { configFor, type Gateway, startAndFail, startGateway } from '../harness/gateway.ts';
import { countCalls, startUpstream, type Upstream } from '../harness/upstream.ts';
import { start } from './own-gateway.ts';
import { gateway, onlySeen, service } from './services.ts';
import { archive, orders, shop } from './shop.ts';

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
);

let echo: Upstream;
const gateways: Gateway[] = [];

beforeAll(async () => {
  echo = await startUpstream();
});

afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.stop()));
});

const urlOf = (port: number, path = '') => `http://127.0.0.1:${port}${path}`;

/** Starts a gateway on this port, with a route for each URL. */
async function startOn(urls: Record<string, string>, port: number, env: Record<string, string> = {}) {
  const names = Object.keys(urls);
  const gateway = await startGateway(
    configFor({
      services: Object.fromEntries(names.map((name) => [name, { url: urls[name] ?? '', timeoutMs: 20_000 }])),
      routes: names.map((name) => ({ prefix: `/${name}`, service: name })),
    }),
    { env: { PORT: String(port), ...env } },
  );
  gateways.push(gateway);
  return gateway;
}

/** The refusals and the other requests that a gateway has logged for this path. */
async function linesFor(gateway: Gateway, path: string, count: number) {
  const lines = () => gateway.log().filter((line) => line.path === path);
  await gateway.waitForLog(() => lines().length >= count);
  return lines();
}

/** The name in the last member of the Via that the service got. */
const nameIn = (answer: Answer): string => /(\S+)$/.exec(answer.json().headers.via)?.[1] as string;

describe('what the gateway tells the service', () => {
  test('is the service’s own Host, and the asked one in X-Forwarded-Host', async () => {
    await send(gateway, '/api/x', { headers: { host: 'shop.example:8443' } });
    const { headers } = onlySeen();
    expect(headers.host).toBe(`127.0.0.1:${service.port}`);
    expect(headers['x-forwarded-host']).toBe('shop.example:8443');
  });

  test('is the client’s address in X-Forwarded-For, and http in X-Forwarded-Proto', async () => {
    await send(gateway, '/api/x');
    const { headers } = onlySeen();
    expect([headers['x-forwarded-for'], headers['x-forwarded-proto']]).toEqual(['127.0.0.1', 'http']);
  });

  test('is the prefix that was taken off the path, in X-Forwarded-Prefix', async () => {
    await send(gateway, '/api/x');
    await send(gateway, '/%61pi/y');
    expect(service.seen.map(({ target, headers }) => [target, headers['x-forwarded-prefix']])).toEqual([
      ['/x', '/api'],
      ['/y', '/api'],
    ]);
  });

  test('replaces whatever a client claims in X-Forwarded-*, Forwarded and X-Real-IP', async () => {
    await send(gateway, '/api/x', {
      headers: [
        ['Host', 'shop.example'],
        ['X-Forwarded-For', '6.6.6.6'],
        ['x-forwarded-for', '6.6.6.7'],
        ['X-Forwarded-Proto', 'https'],
        ['X-Forwarded-Host', 'evil.example'],
        ['X-Forwarded-Port', '666'],
        ['X-Forwarded-Prefix', '/evil'],
        ['X-Forwarded-Server', 'evil'],
        ['Forwarded', 'for=6.6.6.6'],
        ['X-Real-IP', '6.6.6.6'],
      ].flat(),
    });
    const { headers, rawHeaders } = onlySeen();
    expect(
      rawHeaders.filter((_, i) => i % 2 === 1).filter((value) => /6\.6\.6|evil|^666$/.test(value)),
    ).toEqual([]);
    expect(headers).toMatchObject({
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-prefix': '/api',
    });
    expect(headers).not.toHaveProperty('forwarded');
    expect(headers).not.toHaveProperty('x-real-ip');
  });

  test('cannot be taken away by naming it in Connection', async () => {
    await send(gateway, '/api/x', {
      headers: {
        connection:
          'close, x-forwarded-for, X-Forwarded-Host, x-forwarded-proto, x-forwarded-prefix, via, host',
      },
    });
    expect(onlySeen().headers).toMatchObject({
      host: `127.0.0.1:${service.port}`,
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': `127.0.0.1:${gateway.port}`,
      'x-forwarded-prefix': '/api',
      via: expect.stringMatching(/^1\.1 \S+$/),
    });
  });

  test('is its own name in Via', async () => {
    await send(gateway, '/api/x');
    expect(onlySeen().headers.via).toMatch(/^1\.1 \S+$/);
  });

  test('is its name behind those of earlier proxies in Via', async () => {
    await send(gateway, '/api/x', { headers: { via: '1.0 fred' } });
    expect(onlySeen().headersDistinct.via?.join(', ')).toMatch(/^1\.0 fred, 1\.1 \S+$/);
  });
});

describe('a prefix', () => {
  test('that is longer is the one that the service learns in X-Forwarded-Prefix', async () => {
    for (const path of ['/x', '/archive/x']) await send(shop, `/api/orders${path}`);
    const prefixes = [...orders.seen, ...archive.seen].map(({ headers }) => headers['x-forwarded-prefix']);
    expect(prefixes).toEqual(['/api/orders', '/api/orders/archive']);
  });
});

describe.concurrent('HOST', () => {
  // Needs IPv6.
  test.skipIf(!hasIPv6)(':: tells services the IPv4 address of a client in its own form', async () => {
    const { gateway, service } = await start(undefined, { HOST: '::' });
    expect((await send({ host: '127.0.0.1', port: gateway.port }, '/api/x')).status).toBe(200);
    expect((await send({ host: '::1', port: gateway.port }, '/api/x')).status).toBe(200);
    expect(service.seen.map(({ headers }) => headers['x-forwarded-for'])).toEqual(['127.0.0.1', '::1']);
    await gateway.stop();
  });
});

describe('the name of the gateway in Via', () => {
  let gateway: Gateway;
  let name: string;

  beforeAll(async () => {
    gateway = await startOn({ service: echo.url }, await freePort());
    name = nameIn(await send(gateway, '/service/1'));
  });

  const sendVia = (...via: string[]) => send(gateway, '/service/1', { headers: { Via: via } });

  test('is another one in each process, so two gateways in a row are no loop', async () => {
    const outer = await startOn({ inner: urlOf(gateway.port, '/service') }, await freePort());
    const answer = await send(outer, '/inner/1');
    expect(answer.status).toBe(200);
    const names = /^1\.1 (\S+), 1\.1 (\S+)$/.exec(answer.json().headers.via);
    expect(names?.[2]).toBe(name);
    expect(names?.[1]).not.toBe(name);
  });

  test('is found wherever it is in the field of a request', async () => {
    const expectCalls = countCalls({ echo });
    for (const via of [
      [`1.1 ${name}`],
      [`1.0 fred, 1.1 ${name}`],
      [`1.1 ${name}, HTTP/1.1 fred`],
      ['1.0 fred', `1.1 ${name}`, '1.1 wilma'],
      [`1.1 fred,1.1  ${name},1.1 wilma`],
      [`HTTP/1.1 ${name} (a comment)`],
    ]) {
      expectProblem(await sendVia(...via), 508, 'loop-detected');
    }
    expectCalls(0);
  });

  test('is not found in other names, in versions and in comments', async () => {
    for (const via of [
      `1.1 ${name}-2`,
      `1.1 my-${name}`,
      `1.1 ${name.slice(0, -1)}`,
      `${name} fred`,
      `1.1 fred (${name})`,
      '1.1 fred, , 1.1 wilma',
      ',',
      'garbage',
    ]) {
      expect((await sendVia(via)).status, via).toBe(200);
    }
  });

  test.concurrent.each(['two words', 'a'.repeat(65), 'comma,', 'sl/ash', 'ümlaut'])(
    'cannot be %s: the start fails and names the variable',
    async (bad) => {
      const config = configFor({
        services: { service: { url: echo.url, timeoutMs: 5_000 } },
        routes: [{ prefix: '/service', service: 'service' }],
      });
      const { code, stderr } = await startAndFail(config, { env: { GATEWAY_NAME: bad } });
      expect(code).toBe(1);
      expect(stderr).toContain('GATEWAY_NAME');
    },
  );
});

describe('a route that leads back to the gateway', () => {
  test('gets 508 at once: one call, and no second one', async () => {
    const port = await freePort();
    const gateway = await startOn({ self: urlOf(port, '/self') }, port);
    const answer = await send(gateway, '/self/1');
    expectProblem(answer, 508, 'loop-detected');
    const [inner, outer, ...more] = await linesFor(gateway, '/self/1', 2);
    expect(more).toEqual([]);
    expect(inner).toMatchObject({ status: 508, refusedBy: 'loop', route: null, service: null });
    expect(outer).toMatchObject({ status: 508, route: '/self', service: 'self' });
    expect(outer).not.toHaveProperty('refusedBy');
  });

  test('is found before the route, so that it needs none', async () => {
    const port = await freePort();
    const gateway = await startOn({ self: urlOf(port, '/nowhere') }, port);
    expectProblem(await send(gateway, '/self/1', { method: 'POST', body: 'hello' }), 508, 'loop-detected');
  });

  test('through another gateway gets 508 when the request comes back', async () => {
    const [port, otherPort] = [await freePort(), await freePort()];
    const gateway = await startOn({ a: urlOf(otherPort, '/b') }, port);
    const other = await startOn({ b: urlOf(port, '/a') }, otherPort);
    expectProblem(await send(gateway, '/a/1'), 508, 'loop-detected');
    expect(await linesFor(gateway, '/a/1', 2)).toHaveLength(2);
    expect(await linesFor(other, '/b/1', 1)).toHaveLength(1);
  });

  test('through an instance with the same GATEWAY_NAME gets 508 there', async () => {
    const [port, otherPort] = [await freePort(), await freePort()];
    const env = { GATEWAY_NAME: 'shop.example_1-a' };
    const gateway = await startOn({ a: urlOf(otherPort, '/a'), service: echo.url }, port, env);
    const other = await startOn({ a: urlOf(port, '/a') }, otherPort, env);
    expectProblem(await send(gateway, '/a/1'), 508, 'loop-detected');
    expect(await linesFor(gateway, '/a/1', 1)).toHaveLength(1);
    expect(await linesFor(other, '/a/1', 1)).toMatchObject([{ status: 508, refusedBy: 'loop' }]);
    expect(nameIn(await send(gateway, '/service/1'))).toBe(env.GATEWAY_NAME);
  });
});
