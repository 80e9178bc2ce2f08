import type net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { open } from './connections.ts';

// What the service does: the first segment of its path in service.ts.
const services = [
  'ok',
  'ok',
  'big',
  'huge',
  'slow',
  '500',
  'hang',
  'reset',
  'close',
  'garbage',
  'cut-head',
  'cut-body',
  'reset-body',
];

const longestMs = 2_000;
const addressCount = 200;

type Act = (socket: net.Socket, path: string) => Promise<void> | void;

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: gateway\r\n\r\n`;
const post = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: ${length}\r\n\r\n`;
const chunkedPost = (path: string) =>
  `POST ${path} HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n${'x'.repeat(1024)}\r\n`;

/** Waits for some of the answer, or until it is clear that none will come. */
function someAnswer(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, longestMs);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    socket.once('data', done).once('close', done);
    if (socket.destroyed) done();
  });
}

const soon = () => delay(30 * Math.random());

// Each act ends with the client's leaving.
const acts: Act[] = [
  // Well-behaved: waits for the answer.
  async (socket, path) => {
    socket.write(get(path));
    await someAnswer(socket);
    await soon();
  },
  async (socket, path) => {
    socket.write(post(path, 10_000) + 'x'.repeat(10_000));
    await someAnswer(socket);
  },
  // Leaves without a request, in the header, and right after it.
  () => {},
  async (socket, path) => {
    socket.write(get(path).slice(0, -10));
    await soon();
  },
  (socket, path) => void socket.write(get(path)),
  // Leaves while the service works.
  async (socket, path) => {
    socket.write(get(path));
    await soon();
  },
  // Leaves in the body.
  async (socket, path) => {
    socket.write(post(path, 100_000) + 'x'.repeat(1_000));
    await soon();
  },
  async (socket, path) => {
    socket.write(chunkedPost(path));
    await soon();
  },
  // Breaks its own framing.
  async (socket, path) => {
    socket.write(`${chunkedPost(path)}no size\r\n`);
    await soon();
  },
  // Leaves in the answer, without reading all of it.
  async (socket, path) => {
    socket.write(get(path));
    await someAnswer(socket);
    socket.pause();
    await soon();
  },
  // Leaves while requests of its pipeline wait.
  async (socket, path) => {
    socket.write(get(path).repeat(20));
    await soon();
  },
  // Half-closes.
  async (socket, path) => {
    socket.end(get(path));
    await someAnswer(socket);
  },
  // Sends what is no HTTP, and too large a header.
  async (socket) => {
    socket.write('\x16\x03\x01\x02\x00\x01\x00\r\n\r\n');
    await someAnswer(socket);
  },
  async (socket, path) => {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: gateway\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`);
    await someAnswer(socket);
  },
];

/** The number of ways in which a client behaves. Each of them leaves with a FIN or with a reset. */
export const kindsOfAbort = acts.length;

/** One client on a connection of its own, which behaves at random. */
export async function oneClient(port: number, i: number): Promise<void> {
  // From many addresses: a closed connection blocks its port for a minute.
  const localAddress = process.platform === 'linux' ? `127.0.0.${1 + (i % addressCount)}` : '127.0.0.1';
  const socket = await open(port, 0, { localAddress });
  socket.resume();
  const service = pick(services);
  // Two services, so that one circuit is closed more often than the other.
  const path = `/${service === 'ok' || service === 'big' ? 'a' : 'b'}/${service}`;
  await pick(acts)(socket, path);
  if (Math.random() < 0.5) socket.destroy();
  else socket.resetAndDestroy();
}

function pick<T>(from: T[]): T {
  return from[Math.floor(Math.random() * from.length)] as T;
}
