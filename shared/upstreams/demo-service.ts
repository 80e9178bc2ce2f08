import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type Effect, Faults, parseFault } from './faults.ts';
import { answerFrom, notAllowed, type Resource, type ResourceAnswer } from './resource.ts';

const controlPath = '/_faults';
const tickMs = 1000;
const maxBodyBytes = 64 * 1024;

class BodyTooLarge extends Error {}

/** A demo service that listens. */
export interface DemoService {
  readonly port: number;
  readonly url: string;
  /** Drops every connection and stops listening. */
  close(): Promise<void>;
}

/** Starts a service with its resources, /echo, /events and /_faults; port 0 picks a free one. */
export async function startDemoService(
  name: string,
  port: number,
  resources: Resource[],
  host = '127.0.0.1',
): Promise<DemoService> {
  const faults = new Faults();
  const sockets = new Set<Socket>();
  let reopening: NodeJS.Timeout | undefined;

  const server = http.createServer(async (request, response) => {
    try {
      const [path = '/'] = (request.url ?? '/').split('?');
      // Faults can be set only directly at the service. A request with Via came through a proxy, and is like any other.
      if (path === controlPath && !request.headers.via) {
        await control(request, response);
      } else {
        await serve(request, response, path, faults.next());
      }
    } catch (error) {
      if (error instanceof BodyTooLarge) {
        send(response, { status: 413, body: { error: error.message } });
        return;
      }
      // ECONNRESET: the client disconnected while it sent its body, so no response is possible.
      if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') console.error(error);
      response.destroy();
    }
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });

  async function control(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (request.method === 'PUT' || request.method === 'POST') {
      try {
        const fault = parseFault(await readBody(request));
        faults.set(fault);
        if (fault.fault === 'refuse') refuseFor(fault.forMs);
      } catch (error) {
        return send(response, { status: 400, body: { error: (error as Error).message } });
      }
      if (faults.offline()) for (const socket of sockets) if (socket !== request.socket) reset(socket);
    } else if (request.method === 'DELETE') {
      faults.set(undefined);
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      return send(response, notAllowed('GET, HEAD, PUT, POST, DELETE'));
    }
    send(response, { status: 200, body: faults.show() });
  }

  // Connections are refused while nothing listens on the port.
  function refuseFor(ms: number): void {
    server.close();
    reopening = setTimeout(() => server.listen(listening, host), ms);
  }

  async function serve(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    path: string,
    effect: Effect,
  ): Promise<void> {
    if (effect.kind === 'hang') return faults.countWaiting(response);
    if (effect.kind === 'reset') return reset(request.socket);
    if (effect.kind === 'status') {
      const body = { error: `the fault set at ${controlPath} answers ${effect.status}` };
      return send(response, { status: effect.status, body });
    }
    if (effect.kind === 'slow' && !(await waited(effect.ms, response))) return;
    // HTTP/1.0 has no trailers.
    if (effect.kind === 'trailer' && request.httpVersion !== '1.0' && request.method !== 'HEAD') {
      return sendWithTrailer(response, await answer(request, path));
    }
    const cut = effect.kind === 'cut';
    if (path === '/events' && request.method === 'GET') {
      tick(response);
      if (cut) resetSoon(response);
    } else {
      send(response, await answer(request, path), cut);
    }
  }

  async function answer(request: http.IncomingMessage, path: string): Promise<ResourceAnswer> {
    const method = request.method ?? 'GET';
    if (path === '/echo' || path.startsWith('/echo/')) return echo(name, request);
    if (path === '/events') return notAllowed('GET');
    return answerFrom(resources, method, path, () => readBody(request));
  }

  server.listen(port, host);
  await once(server, 'listening');
  const listening = (server.address() as AddressInfo).port;
  return {
    port: listening,
    url: `http://${host}:${listening}`,
    async close() {
      clearTimeout(reopening);
      const closed = server.listening ? once(server, 'close') : undefined;
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function echo(service: string, request: http.IncomingMessage): Promise<ResourceAnswer> {
  let bodyBytes = 0;
  for await (const chunk of request) bodyBytes += chunk.length;
  const headers = Object.entries(request.headersDistinct).map(([name, values]) => [
    name,
    values?.length === 1 ? values[0] : values,
  ]);
  const { method, url: target } = request;
  return {
    status: 200,
    body: { service, method, target, headers: Object.fromEntries(headers), bodyBytes },
  };
}

// Server-sent events: one at once, then one per second until the client disconnects.
function tick(response: http.ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  let count = 0;
  const write = () => {
    count += 1;
    const data = JSON.stringify({ tick: count, at: new Date().toISOString() });
    response.write(`id: ${count}\nevent: tick\ndata: ${data}\n\n`);
  };
  write();
  const timer = setInterval(write, tickMs);
  response.on('close', () => clearInterval(timer));
}

function send(response: http.ServerResponse, { status, headers, body }: ResourceAnswer, cut = false): void {
  const bodyless = status === 204 || status === 304;
  const bytes = bodyless ? Buffer.alloc(0) : Buffer.from(`${JSON.stringify(body, null, 2)}\n`);
  const framing = bodyless ? {} : { 'content-type': 'application/json', 'content-length': bytes.length };
  response.writeHead(status, { ...framing, ...headers });
  if (!cut) {
    response.end(bytes);
    return;
  }
  response.flushHeaders();
  response.write(bytes.subarray(0, bytes.length / 2));
  resetSoon(response);
}

/** An answer in chunks that is followed by a trailer field, which its header announces (RFC 9110 6.5). */
function sendWithTrailer(response: http.ServerResponse, { status, headers, body }: ResourceAnswer): void {
  const text = `${JSON.stringify(body, null, 2)}\n`;
  response.writeHead(status, { 'content-type': 'application/json', trailer: 'x-checksum', ...headers });
  response.write(text);
  response.addTrailers({ 'x-checksum': createHash('sha256').update(text).digest('hex') });
  response.end();
}

async function readBody(request: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes <= maxBodyBytes) chunks.push(chunk);
  }
  if (bytes > maxBodyBytes) throw new BodyTooLarge(`the body has more than ${maxBodyBytes} bytes`);
  return Buffer.concat(chunks).toString('utf8');
}

// Resolves to false when the client disconnects first.
function waited(ms: number, response: http.ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), ms);
    response.on('close', () => {
      clearTimeout(timer);
      resolve(false);
    });
  });
}

// A TCP reset discards data that has not been read yet, so the half response gets 50 ms to arrive.
function resetSoon(response: http.ServerResponse): void {
  setTimeout(() => response.socket && reset(response.socket), 50);
}

function reset(socket: Socket): void {
  socket.resetAndDestroy();
}
