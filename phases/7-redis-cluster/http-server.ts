import { createServer as createHttpServer } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, { type FastifyInstance, type onRequestHookHandler } from 'fastify';
import type { Logger } from 'pino';
import { inOrder } from './in-order.ts';
import { BAD_REQUEST, sendProblem, toProblem } from './problem.ts';
import { requestId } from './request-id.ts';
import { PROXIED_METHODS } from './route.ts';
import { closeConnectionsInStages } from './staged-close.ts';

// A connection on which no byte moves for this long, in addition to the longest `timeoutMs`, is closed.
const CLIENT_SILENCE_MS = 300_000;

const HTTP_OPTIONS = {
  maxHeaderSize: 16_384,
  requireHostHeader: false, // wellFormed refuses a missing Host
  requestTimeout: 300_000, // for clients that send slowly
};

interface ServerOptions {
  log: Logger;
  /** Begins the exchange of a request. Requests that Fastify refuses before any hook need it, too. */
  observed: onRequestHookHandler;
  /** Responds to what Node's parser refuses. */
  onClientError: (error: NodeJS.ErrnoException, socket: Socket) => void;
  /** The `timeoutMs` of the slowest service. */
  longestTimeoutMs: number;
  /** How long an idle connection of a client stays open. */
  keepAliveTimeoutMs: number;
}

/** A Fastify server that neither parses nor limits bodies, and refuses in one format. */
export function createServer(options: ServerOptions): FastifyInstance {
  const server = Fastify({
    serverFactory: (handle) => {
      const { longestTimeoutMs, keepAliveTimeoutMs: keepAliveTimeout } = options;
      const http = createHttpServer({ ...HTTP_OPTIONS, keepAliveTimeout }, inOrder(handle));
      // For clients that stop reading; the default is never. Node waits once more if part of the last write was sent.
      http.setTimeout(longestTimeoutMs + CLIENT_SILENCE_MS);
      // By default Node drops the fields after the first 1,000, such as a key or a second Host. 16 KiB hold about 3,000.
      http.maxHeadersCount = 0;
      closeConnectionsInStages(http);
      return http;
    },
    pluginTimeout: 0, // it also limits preClose hooks: by default a stop would wait 10 s for its delay
    return503OnClosing: false, // requests that still arrive while draining are served, with Connection: close
    clientErrorHandler: options.onClientError,
    genReqId: requestId,
    frameworkErrors: (_error, request, reply) => {
      options.observed.call(server, request, reply, () => sendProblem(reply, BAD_REQUEST));
    },
  });

  server.decorateRequest('exchange');
  server.setErrorHandler((error, request, reply) => {
    const report = (bug: unknown) => options.log.error({ id: request.id, err: bug }, 'internal error');
    sendProblem(reply, toProblem(error, report));
  });

  // The gateway does not read bodies. Fastify parses none if no method is declared to have one.
  for (const method of PROXIED_METHODS) {
    server.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  }

  // Without these listeners Node sends 100 Continue itself, and a client uploads a body that is refused afterwards.
  for (const event of ['checkContinue', 'checkExpectation']) {
    server.server.on(event, (request, response) => server.server.emit('request', request, response));
  }
  return server;
}
