// One gateway with services of all kinds, for most steps of this suite. Importing this file starts them before the tests.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { trusted, unvouched } from '../harness/certificates.ts';
import { answersIn, type Connection, send, until } from '../harness/client.ts';
import { configFor, type Gateway, startGateway } from '../harness/gateway.ts';
import { deadUrl, type Seen, startRawUpstream, startUpstream, type Upstream } from '../harness/upstream.ts';
import { type Secure, type Silent, startSecure, startSilent } from './bad-peers.ts';

/** A body of this many bytes does not fit into the buffers of a connection. */
export const mebibyte = 1024 * 1024;

/** The gateway with a route to each of the services. */
export let gateway: Gateway;
/** Behind /api, and with shorter times behind /hasty, /patient and /leisurely. `serve` sets what it does. */
export let service: Upstream;
/** Behind /raw: a service that can break every rule of HTTP. `serveRaw` sets what it does. */
export let raw: Upstream;
/** Behind /dubious: its certificate is signed by an authority that the gateway does not trust. */
export let dubious: Secure;
let silent: Silent;
let secure: Secure;
let handle: RequestListener;
let react: (socket: Socket, head: string) => void;
/** Contains the file of the certificate that the gateway trusts. */
const folder = mkdtempSync(join(tmpdir(), 'gateway-contract-tls-'));

beforeAll(async () => {
  service = await startUpstream((request, response) => {
    if (request.url?.startsWith('/barrier')) response.end('ok');
    else handle(request, response);
  });
  raw = await startRawUpstream((socket, head) => react(socket, head));
  silent = await startSilent();
  secure = await startSecure(trusted);
  dubious = await startSecure(unvouched);
  const authorities = join(folder, 'authorities.pem');
  writeFileSync(authorities, trusted.cert);
  const times = { service: 30_000, hasty: 300, patient: 800, leisurely: 2_000 };
  const services = {
    ...Object.fromEntries(
      Object.entries(times).map(([name, timeoutMs]) => [name, { url: service.url, timeoutMs }]),
    ),
    raw: { url: raw.url, timeoutMs: 30_000 },
    dead: { url: await deadUrl(), timeoutMs: 10_000 },
    unknown: { url: 'http://does-not-exist.invalid', timeoutMs: 10_000 },
    silent: { url: silent.url, timeoutMs: 300 },
    secure: { url: secure.url, timeoutMs: 10_000 },
    dubious: { url: dubious.url, timeoutMs: 10_000 },
  };
  const routes = Object.keys(services).map((name) => ({
    prefix: name === 'service' ? '/api' : `/${name}`,
    service: name,
  }));
  gateway = await startGateway(configFor({ services, routes }), {
    env: { NODE_EXTRA_CA_CERTS: authorities },
  });
});

beforeEach(() => {
  service.seen.length = 0;
  serve((request, response) => void request.on('end', () => response.end('ok')));
});

afterAll(async () => {
  await Promise.all([silent?.close(), secure?.close(), dubious?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

/** Sets the handler of the service for the rest of the test. */
export function serve(handler: RequestListener): void {
  handle = handler;
}

/** Sets what the raw service does with a request for the rest of the test: the bytes of its answer, or a handler. */
export function serveRaw(answer: string | ((socket: Socket, head: string) => void)): void {
  react = typeof answer === 'string' ? (socket) => void socket.write(Buffer.from(answer, 'latin1')) : answer;
}

/** The one request that the service has seen completely. */
export function onlySeen(): Seen {
  expect(service.seen).toHaveLength(1);
  return service.seen[0] as Seen;
}

/** Asserts that the gateway has survived. */
export async function alive(): Promise<void> {
  expect((await send(gateway, '/health')).status).toBe(200);
}

/** Asserts that a client that has sent its request can send the next, unless Connection: close was announced. */
export async function expectInOrder(client: Connection, status: number): Promise<void> {
  const [answer] = answersIn(client.received());
  if (answer?.headers.connection === 'close') await expectEnd(client, status);
  else await expectNext(client, status);
}

/** Asserts that this was the only answer, that it has announced the end of the connection, and that the end comes. */
export async function expectEnd(client: Connection, status: number): Promise<void> {
  await until(() => client.closed(), 'the connection is closed');
  const answers = answersIn(client.received());
  expect(answers.map(({ status, headers }) => [status, headers.connection])).toEqual([[status, 'close']]);
}

/** Asserts that this was the only answer, and that the next request on the connection is answered. */
export async function expectNext(client: Connection, status: number): Promise<void> {
  serve((request, response) => void request.on('end', () => response.end('ok')));
  client.socket.write('GET /api/next HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(
    () => answersIn(client.received()).length > 1,
    'the next request on this connection is answered',
  );
  client.socket.destroy();
  const answers = answersIn(client.received());
  expect(answers.map(({ status, headers }) => [status, headers.connection === 'close'])).toEqual([
    [status, false],
    [200, false],
  ]);
}

let barriers = 0;

/** Sends a request and waits for its line in the log. What the gateway could do before it has been done then. */
export async function passBarrier(): Promise<void> {
  const path = `/api/barrier-${++barriers}`;
  expect((await send(gateway, path)).text).toBe('ok');
  await gateway.waitForLog((line) => line.path === path);
}

/** The targets that the service has seen completely, without those of barriers. */
export const executed = () =>
  service.seen.map(({ target }) => target).filter((target) => !target.startsWith('/barrier'));

/** The lines of all requests that the gateway logs during `act`: at least one. */
export async function linesOf(act: () => Promise<void>): Promise<Array<Record<string, unknown>>> {
  await passBarrier();
  const from = gateway.log().length;
  const lines = () =>
    gateway
      .log()
      .slice(from)
      .filter(({ msg, path }) => msg === 'request' && !String(path).startsWith('/api/barrier'));
  await act();
  await until(() => lines().length > 0, 'the request is in the log');
  await passBarrier();
  return lines();
}
