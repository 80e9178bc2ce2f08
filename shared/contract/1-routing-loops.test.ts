import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../process/ports.ts';
import { type Answer, expectProblem, send } from './harness/client.ts';
import { configFor, type Gateway, startAndFail, startGateway } from './harness/gateway.ts';
import { startUpstream, type Upstream } from './harness/upstream.ts';

let service: Upstream;
const gateways: Gateway[] = [];

beforeAll(async () => {
  service = await startUpstream();
});

afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.stop()));
});

const urlOf = (port: number, path = '') => `http://127.0.0.1:${port}${path}`;

/** Starts a gateway on this port, with a route for each URL. */
async function start(urls: Record<string, string>, port: number, env: Record<string, string> = {}) {
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
async function linesOf(gateway: Gateway, path: string, count: number) {
  const lines = () => gateway.log().filter((line) => line.path === path);
  await gateway.waitForLog(() => lines().length >= count);
  return lines();
}

/** The name in the last member of the Via that the service got. */
const nameIn = (answer: Answer): string => /(\S+)$/.exec(answer.json().headers.via)?.[1] as string;

describe('a route that leads back to the gateway', () => {
  test('gets 508 at once: one call, and no second one', async () => {
    const port = await freePort();
    const gateway = await start({ self: urlOf(port, '/self') }, port);
    const answer = await send(gateway, '/self/1');
    expectProblem(answer, 508, 'loop-detected');
    const [inner, outer, ...more] = await linesOf(gateway, '/self/1', 2);
    expect(more).toEqual([]);
    expect(inner).toMatchObject({ status: 508, refusedBy: 'loop', route: null, service: null });
    expect(outer).toMatchObject({ status: 508, route: '/self', service: 'self' });
    expect(outer).not.toHaveProperty('refusedBy');
  });

  test('is found before the route, so that it needs none', async () => {
    const port = await freePort();
    const gateway = await start({ self: urlOf(port, '/nowhere') }, port);
    expectProblem(await send(gateway, '/self/1', { method: 'POST', body: 'hello' }), 508, 'loop-detected');
  });

  test('through another gateway gets 508 when the request comes back', async () => {
    const [port, otherPort] = [await freePort(), await freePort()];
    const gateway = await start({ a: urlOf(otherPort, '/b') }, port);
    const other = await start({ b: urlOf(port, '/a') }, otherPort);
    expectProblem(await send(gateway, '/a/1'), 508, 'loop-detected');
    expect(await linesOf(gateway, '/a/1', 2)).toHaveLength(2);
    expect(await linesOf(other, '/b/1', 1)).toHaveLength(1);
  });

  test('through an instance with the same GATEWAY_NAME gets 508 there', async () => {
    const [port, otherPort] = [await freePort(), await freePort()];
    const env = { GATEWAY_NAME: 'shop.example_1-a' };
    const gateway = await start({ a: urlOf(otherPort, '/a'), service: service.url }, port, env);
    const other = await start({ a: urlOf(port, '/a') }, otherPort, env);
    expectProblem(await send(gateway, '/a/1'), 508, 'loop-detected');
    expect(await linesOf(gateway, '/a/1', 1)).toHaveLength(1);
    expect(await linesOf(other, '/a/1', 1)).toMatchObject([{ status: 508, refusedBy: 'loop' }]);
    expect(nameIn(await send(gateway, '/service/1'))).toBe(env.GATEWAY_NAME);
  });
});

describe('the name of the gateway in Via', () => {
  let gateway: Gateway;
  let name: string;

  beforeAll(async () => {
    gateway = await start({ service: service.url }, await freePort());
    name = nameIn(await send(gateway, '/service/1'));
  });

  const sendVia = (...via: string[]) => send(gateway, '/service/1', { headers: { Via: via } });

  test('is another one in each process, so two gateways in a row are no loop', async () => {
    const outer = await start({ inner: urlOf(gateway.port, '/service') }, await freePort());
    const answer = await send(outer, '/inner/1');
    expect(answer.status).toBe(200);
    const names = /^1\.1 (\S+), 1\.1 (\S+)$/.exec(answer.json().headers.via);
    expect(names?.[2]).toBe(name);
    expect(names?.[1]).not.toBe(name);
  });

  test('is found wherever it is in the field of a request', async () => {
    const before = service.begun();
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
    expect(service.begun()).toBe(before);
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
        services: { service: { url: service.url, timeoutMs: 5_000 } },
        routes: [{ prefix: '/service', service: 'service' }],
      });
      const { code, stderr } = await startAndFail(config, { env: { GATEWAY_NAME: bad } });
      expect(code).toBe(1);
      expect(stderr).toContain('GATEWAY_NAME');
    },
  );
});
