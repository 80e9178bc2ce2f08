import { once } from 'node:events';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answersIn, send, until } from './harness/client.ts';
import { configFor, type Gateway, startGateway } from './harness/gateway.ts';
import { canPause, pause } from './harness/local-causes.ts';
import { startUpstream, type Upstream } from './harness/upstream.ts';

const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);

let service: Upstream;
let gateway: Gateway;

beforeAll(async () => {
  service = await startUpstream((request, response) => {
    if (!request.url?.startsWith('/hangs')) response.end('ok');
  });
  gateway = await start(hasIpv6 ? { HOST: '::' } : {});
});

afterAll(() => gateway?.stop());

function start(env: Record<string, string> = {}): Promise<Gateway> {
  const config = configFor({
    services: { service: { url: service.url, timeoutMs: 20_000 } },
    routes: [{ prefix: '/api', service: 'service' }],
  });
  return startGateway(config, { env });
}

/** Sends these bytes to the gateway from this address, and ends the connection when `enough` is true. */
async function sendFrom(host: string, bytes: string, enough = (text: string) => answersIn(text).length > 0) {
  let text = '';
  // The loopback addresses of IPv4 are all there on Linux only.
  const localAddress = host === '127.0.0.9' && process.platform !== 'linux' ? '127.0.0.1' : host;
  const socket = net.connect({ host: host === '::1' ? host : '127.0.0.1', port: gateway.port, localAddress });
  await once(socket, 'connect');
  socket.on('error', () => {}).setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
  });
  socket.write(bytes);
  await until(() => enough(text), 'the gateway has answered');
  socket.destroy();
  return localAddress;
}

const get = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

describe('the address in the log line of a request', () => {
  test.each([
    ['that is answered', '/api/address-1', ''],
    ['without a route', '/nowhere/address-2', ''],
    ['that is malformed', '/api/../address-3', ''],
    [
      'that claims another one',
      '/api/address-4',
      'X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n',
    ],
  ])('%s is that of the peer, IPv4 as a whole', async (_, path, fields) => {
    const address = await sendFrom('127.0.0.9', get(path, fields));
    expect(await gateway.waitForLog((line) => line.path === path)).toMatchObject({ address });
  });

  test('whose client has left is that of the peer', async () => {
    const before = service.begun();
    const address = await sendFrom('127.0.0.9', get('/api/hangs/address'), () => service.begun() > before);
    const line = await gateway.waitForLog(({ path }) => path === '/api/hangs/address');
    expect(line).toMatchObject({ status: 499, address });
  });

  test('that the parser refuses is that of the peer', async () => {
    const lines = () => gateway.log().filter(({ path }) => path === null);
    const before = lines().length;
    const address = await sendFrom('127.0.0.9', 'nonsense\r\n\r\n');
    await until(() => lines().length > before, 'the line is in the log');
    expect(lines().at(-1)).toMatchObject({ refusedBy: 'parse', address });
  });

  // Needs IPv6.
  test.skipIf(!hasIpv6)('from IPv6 has the first 64 bits only', async () => {
    await sendFrom('::1', get('/api/address-6'));
    const line = await gateway.waitForLog(({ path }) => path === '/api/address-6');
    expect(line.address).toBe('0:0:0:0::/64');
  });

  // The system forgets the address of the peer when a reset arrives, before the gateway has read the request.
  test.skipIf(!canPause)(
    'whose connection was reset before it was read may be unknown: that is no error',
    async () => {
      const reset = await start();
      await pause(reset);
      const socket = net.connect(reset.port, reset.host).on('error', () => {});
      await once(socket, 'connect');
      await new Promise((resolve) => socket.write(get('/api/reset'), resolve));
      socket.resetAndDestroy();
      await once(socket, 'close');
      process.kill(reset.pid, 'SIGCONT');
      expect((await send(reset, '/api/after')).status).toBe(200);
      await reset.waitForLog(({ path }) => path === '/api/after');
      expect(reset.log().filter(({ level }) => (level as number) > 40)).toEqual([]);
      for (const line of reset.log().filter(({ path }) => path === '/api/reset')) {
        expect(['unknown', '127.0.0.1']).toContain(line.address);
      }
      await reset.stop();
    },
  );
});
