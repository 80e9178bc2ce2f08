import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { afterAll } from 'vitest';
import { freePort } from './free-port.ts';

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
  /** Requests received completely, in that order. */
  readonly seen: Seen[];
  /** TCP connections ever accepted. */
  connections(): number;
  /** Requests begun, complete or not. */
  begun(): number;
  close(): Promise<void>;
}

const open = new Set<Upstream>();

afterAll(async () => {
  await Promise.all([...open].map((upstream) => upstream.close()));
});

/**
 * An HTTP service on a free port; without a handler it answers 200 and, as JSON, what it was asked.
 * Bodies are read and kept whatever the handler does; one that must not be read is paused by the handler.
 */
export async function startUpstream(handler: http.RequestListener = echo): Promise<Upstream> {
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
      // Node throws a body away that nobody had begun to read when the answer was finished.
      request.read(0);
      request.on('error', () => {});
      response.on('error', () => {});
      handler(request, response);
    },
  );
  return listen(server, seen, () => begun);
}

/** A TCP service for answers no HTTP library would send; the function is called once per request head. */
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
): Promise<Upstream> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const upstream: Upstream = {
    url: `http://127.0.0.1:${port}`,
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

/** Splits the first complete head, and its body if Content-Length announces one, from what follows. */
function splitHead(text: string): { head: string; rest: string } | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  const bodyLength = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  return { head, rest: text.slice(end + 4 + bodyLength) };
}
