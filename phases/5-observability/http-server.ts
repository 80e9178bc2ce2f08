import { createServer as createHttpServer } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, { type FastifyInstance, type onRequestHookHandler } from 'fastify';
import type { Logger } from 'pino';
import { inOrder } from './in-order.ts';
import { BAD_REQUEST, sendProblem, toProblem } from './problem.ts';
import { requestId } from './request-id.ts';
import { PROXIED_METHODS } from './route.ts';

// A connection on which no byte moves for this long, in addition to the longest `timeoutMs`, is closed.
const CLIENT_SILENCE_MS = 300_000;

const HTTP_OPTIONS = {
  maxHeaderSize: 16_384,
  requireHostHeader: false, // wellFormed refuses a missing Host
  requestTimeout: 300_000, // for clients that send slowly
  keepAliveTimeout: 72_000, // longer than the idle timeout of most load balancers (60 s)
};

interface ServerOptions {
  log: Logger;
  /** Begins the exchange of a request. Requests that Fastify refuses before any hook need it, too. */
  observed: onRequestHookHandler;
  /** Responds to what Node's parser refuses. */
  onClientError: (error: NodeJS.ErrnoException, socket: Socket) => void;
  /** The `timeoutMs` of the slowest service. */
  longestTimeoutMs: number;
  trustedProxies: string[];
}

/** A Fastify server that neither parses nor limits bodies, and refuses in one format. */
export function createServer(options: ServerOptions): FastifyInstance {
  const server = Fastify({
    serverFactory: (handle) => {
      const http = createHttpServer(HTTP_OPTIONS, inOrder(handle));
      http.setTimeout(options.longestTimeoutMs + CLIENT_SILENCE_MS); // for clients that stop reading; the default is never
      // By default Node drops the fields after the first 1,000, such as a key or a second Host. 16 KiB hold about 3,000.
      http.maxHeadersCount = 0;
      return http;
    },
    trustProxy: options.trustedProxies.length > 0 && options.trustedProxies,
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
