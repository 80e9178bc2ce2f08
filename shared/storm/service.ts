// The service behind the gateway, in a process of its own. The first segment of the path says what it does.
// With CLOSE_IDLE_MS it closes a connection that long after its answer, without announcing it. On SIGHUP it closes all
// idle connections at once and listens on, as nginx does on a reload.
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { Socket } from 'node:net';

const bigBody = Buffer.alloc(64 * 1024, 'x');
const hugeBody = Buffer.alloc(8 * 1024 * 1024, 'x');
const slowMs = 100;
const closeIdleMs = Number(process.env.CLOSE_IDLE_MS ?? 0);
const orders = new Set<string>();
const timers = new WeakMap<Socket, NodeJS.Timeout>();

const behaviours: Record<string, RequestListener> = {
  ok: (_request, response) => void response.end('ok'),
  big: (_request, response) =>
    void response.writeHead(200, { 'content-length': bigBody.length }).end(bigBody),
  huge: (_request, response) =>
    void response.writeHead(200, { 'content-length': hugeBody.length }).end(hugeBody),
  slow: (_request, response) => void setTimeout(() => response.end('slow'), slowMs),
  500: (_request, response) => void response.writeHead(500).end('an error'),
  hang: () => {},
  reset: (request) => void request.socket.resetAndDestroy(),
  close: (request) => void request.socket.destroy(),
  garbage: (request) => void request.socket.end('garbage\r\n\r\n'),
  'cut-head': (request) => void request.socket.end('HTTP/1.1 200 OK\r\nContent-Le'),
  'cut-body': (_request, response) => {
    response.writeHead(200, { 'content-length': bigBody.length });
    response.write(bigBody.subarray(0, 10_000), () => response.socket?.destroy());
  },
  'reset-body': (_request, response) => {
    response.write(bigBody.subarray(0, 10_000), () => response.socket?.resetAndDestroy());
  },
  // Notes that the order was carried out.
  order: (request, response) => {
    orders.add(lastSegment(request));
    response.end('ordered');
  },
  'was-ordered': (request, response) => void response.end(String(orders.has(lastSegment(request)))),
};

const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
  clearTimeout(timers.get(request.socket));
  const [, word = ''] = (request.url as string).split('/');
  const behave = behaviours[word] ?? behaviours.ok;
  // Without this field Node would announce its timeout in Keep-Alive, and clients would not run into it.
  if (closeIdleMs > 0) response.setHeader('connection', 'keep-alive');
  response.once('finish', () => {
    if (closeIdleMs > 0)
      timers.set(
        request.socket,
        setTimeout(() => request.socket.destroy(), closeIdleMs),
      );
  });
  request.on('error', () => {});
  if (request.method !== 'POST') behave?.(request, response);
  else request.resume().once('end', () => behave?.(request, response));
});
server.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });
process.on('SIGHUP', () => server.closeIdleConnections());
process.once('SIGTERM', () => process.exit(0));

function lastSegment({ url }: IncomingMessage): string {
  return (url as string).split('/').at(-1) as string;
}
