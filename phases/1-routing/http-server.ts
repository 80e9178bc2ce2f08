import type { Socket } from 'node:net';
import Fastify, { type FastifyInstance, type onRequestHookHandler } from 'fastify';
import type { Logger } from 'pino';
import { BAD_REQUEST, sendProblem, toProblem } from './problem.ts';
import { PROXIED_METHODS } from './route.ts';
import { refuseUnparsed } from './well-formed.ts';

// A connection on which nothing moves for this long, beyond the longest wait for a service, is closed.
const SILENCE_MS = 300_000;

// The first request of a connection may be on its way, or unread, when the gateway is told to stop.
const FIRST_REQUEST_MS = 500;

/**
 * A Fastify that stays out of the way: it leaves bodies alone, refuses in one format, and drains when it
 * closes. `observe` sees the requests that fail before any hook runs; `longestTimeoutMs` is that of the
 * slowest service.
 */
export function createServer(
  log: Logger,
  observe: onRequestHookHandler,
  longestTimeoutMs: number,
): FastifyInstance {
  const server = Fastify({
    http: { maxHeaderSize: 16_384, requireHostHeader: false }, // wellFormed answers a missing Host
    connectionTimeout: longestTimeoutMs + SILENCE_MS, // for clients that stop reading
    requestTimeout: 300_000, // for slow senders; Fastify's default for both is never
    return503OnClosing: false, // what still arrives while draining is served, with Connection: close
    clientErrorHandler: refuseUnparsed,
    frameworkErrors: (_error, request, reply) => {
      observe.call(server, request, reply, () => sendProblem(reply, BAD_REQUEST));
    },
  });

  // Node would drop the fields beyond the first 1,000, among them a key or a second Host. 16 KiB hold some 3,000.
  server.server.maxHeadersCount = 0;

  server.decorateRequest('problem', null);
  server.decorateRequest('route', null);
  server.decorateRequest('target', '');
  server.setErrorHandler((error, _request, reply) => {
    const report = (bug: unknown) => log.error({ err: bug }, 'internal error');
    sendProblem(reply, toProblem(error, report));
  });

  // Bodies are for the service. To Fastify no method has one, so it neither parses nor judges any.
  for (const method of PROXIED_METHODS) {
    server.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  }

  // Node would answer Expect by itself. Left to forward.ts, a refused request need not upload in vain.
  for (const event of ['checkContinue', 'checkExpectation']) {
    server.server.on(event, (request, response) => server.server.emit('request', request, response));
  }
  // When a connection goes, Node tells only the first response of a pipeline. The others would wait on.
  server.server.on('request', (request, response) => {
    request.once('aborted', () => response.destroy().emit('close'));
  });

  // To Node a connection on which nothing was ever sent is not idle: without this it would hold up the end.
  const sockets = new Set<Socket>();
  server.server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.addHook('preClose', async () => {
    const closeUnused = () => {
      for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
    };
    setTimeout(closeUnused, FIRST_REQUEST_MS).unref();
  });
  return server;
}
