import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { afterAll, expect } from 'vitest';
import { servicesSaw } from '../../process/evidence.ts';
import { freePort } from '../../process/ports.ts';

const bodyKeptBytes = 8 * 1024 * 1024;

/** A request as the service received it; `body` keeps the first 8 MiB. */
export interface Seen {
  method: string;
  target: string;
  rawHeaders: string[];
  headers: http.IncomingHttpHeaders;
  headersDistinct: NodeJS.Dict<string[]>;
  body: Buffer;
}

/** A service behind the gateway. */
export interface Upstream {
  readonly url: string;
  readonly port: number;
  /** Requests received completely, in the order of their completion. */
  readonly seen: Seen[];
  /** Number of TCP connections accepted so far. */
  connections(): number;
  /** Number of requests whose header has arrived, complete or not. */
  begun(): number;
  close(): Promise<void>;
}

const open = new Set<Upstream>();

afterAll(async () => {
  await Promise.all([...open].map((upstream) => upstream.close()));
});

/**
 * Starts an HTTP service on a free port. Without a handler it answers 200 with method, target and headers as JSON.
 * It reads and keeps every request body. A handler that needs a body to stay unread pauses the request.
 */
export async function startUpstream(
  handler: http.RequestListener = echo,
  { host = '127.0.0.1', port = 0 } = {},
): Promise<Upstream> {
  const seen: Seen[] = [];
  let begun = 0;
  const server = http.createServer(
    { maxHeaderSize: 65_536, keepAliveTimeout: 60_000 },
    (request, response) => {
      begun++;
      const chunks: Buffer[] = [];
      let size = 0;
      request.on('data', (chunk: Buffer) => {
        if (size < bodyKeptBytes) chunks.push(chunk);
        size += chunk.length;
      });
      request.on('end', () => {
        seen.push({
          method: request.method as string,
          target: request.url as string,
          rawHeaders: request.rawHeaders,
          headers: request.headers,
          headersDistinct: request.headersDistinct,
          body: Buffer.concat(chunks).subarray(0, bodyKeptBytes),
        });
      });
      // Node discards a request body whose reading has not begun when the response ends. read(0) begins it.
      request.read(0);
      request.on('error', () => {});
      response.on('error', () => {});
      handler(request, response);
    },
  );
  // By default Node drops the fields after the first 1,000, or since 22.23.2 and 24.18.1 refuses such a request with 431.
  server.maxHeadersCount = 0;
  return listen(server, seen, () => begun, { host, port });
}

/** Starts a TCP service for answers that no HTTP library sends. `onRequest` is called for each request header. */
export function startRawUpstream(onRequest: (socket: Socket, head: string) => void): Promise<Upstream> {
  let begun = 0;
  const server = net.createServer((socket) => {
    let text = '';
    socket.on('error', () => {});
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      for (let request = splitHead(text); request; request = splitHead(text)) {
        text = request.rest;
        begun++;
        onRequest(socket, request.head);
      }
    });
  });
  return listen(server, [], () => begun);
}

/** A URL of 127.0.0.1 where nothing listens. */
export async function deadUrl(): Promise<string> {
  return `http://127.0.0.1:${await freePort()}`;
}

/**
 * Begins to count the requests that begin at these services. The returned function asserts that it was this number at each
 * of them, and with `connections` that an uncalled one got no new connection. The assertion is soft, so that a test goes
 * on to the answer, which says more about a mistake. `when` ends its message.
 */
export function countCalls(
  services: Record<string, Upstream>,
  { connections = false } = {},
): (expected: number, when?: string) => void {
  const before = Object.values(services).map((service) => [service.begun(), service.connections()] as const);
  return (expected, when = '') => {
    const words = Object.entries(services).flatMap(([name, service], i) => {
      const [begun = 0, connected = 0] = before[i] ?? [];
      const calls = service.begun() - begun;
      if (calls !== expected) return `${inWords(name, calls, expected)}${when}`;
      if (connections && expected === 0 && service.connections() > connected)
        return `${name} got a connection, and should not have`;
      return [];
    });
    expect.soft(words, servicesSaw).toEqual([]);
  };
}

/** Asserts how many requests have begun at a service since its start. Not softly, which concurrent tests cannot do. */
export function expectBegun(service: Upstream, expected: number): void {
  const calls = service.begun();
  expect(calls === expected ? [] : [inWords('the service', calls, expected)], servicesSaw).toEqual([]);
}

function inWords(name: string, calls: number, expected: number): string {
  return `${name} was ${times('called', calls)}, and should ${due(expected)}`;
}

function times(verb: string, count: number): string {
  if (count === 0) return `not ${verb}`;
  return count === 1 ? `${verb} once` : `${verb} ${count} times`;
}

function due(count: number): string {
  return count === 0 ? 'not have been' : times('have been called', count);
}

function echo(request: http.IncomingMessage, response: http.ServerResponse): void {
  request.on('end', () => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ method: request.method, target: request.url, headers: request.headers }));
  });
}

async function listen(
  server: net.Server | http.Server,
  seen: Seen[],
  begun: () => number,
  address = { host: '127.0.0.1', port: 0 },
): Promise<Upstream> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const upstream: Upstream = {
    url: `http://${address.host}:${port}`,
    port,
    seen,
    begun,
    connections: () => connections,
    async close() {
      if (!open.delete(upstream)) return;
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  open.add(upstream);
  return upstream;
}

/** Splits the first complete request header from what follows it, and drops a body announced by Content-Length. */
function splitHead(text: string): { head: string; rest: string } | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  const bodyLength = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  return { head, rest: text.slice(end + 4 + bodyLength) };
}
