import http from 'node:http';
import { forward, openService } from './forward.mjs';
import { createIdentifier, refuseAnonymous } from './identify.mjs';
import { INTERNAL, Problem } from './problem.mjs';
import { createRouter } from './route.mjs';
import { refuseMalformed, refuseUnparsed } from './well-formed.mjs';

// nginx's number for a client that left before its answer was complete. It is logged, never sent.
const CLIENT_LEFT = 499;

// A connection on which nothing moves for this long, beyond the longest wait for a service, is closed.
const SILENCE_MS = 300_000;

// The first request of a connection may be on its way, or unread, when the gateway is told to stop.
const FIRST_REQUEST_MS = 500;

/** Builds the gateway: its server, ready to listen, and `stop`. Read `serve` to follow a request. */
export function createGateway(config, log) {
  const services = new Map(Object.entries(config.services).map(([name, it]) => [name, openService(it)]));
  const findRoute = createRouter(config.routes);
  const identify = createIdentifier(config.clients);
  /** The calls under way on each connection. */
  const connections = new Map();
  let draining = false;

  function serve(request, response) {
    const call = new Call(request, response);
    // While the gateway drains, the client must not send another request on this connection.
    if (draining) response.setHeader('connection', 'close');
    try {
      refuseMalformed(request);
      if (isHealthCheck(request)) {
        answerHealthCheck(response);
        return;
      }
      observe(call);
      const { route, rest } = findRoute(request);
      call.route = route;
      call.client = identify(request);
      refuseAnonymous(call.client, route);
      forward(call, services.get(route.service), rest);
    } catch (error) {
      observe(call);
      if (!(error instanceof Problem)) log.error({ err: String(error?.stack) }, 'internal error');
      call.refuse(error instanceof Problem ? error : INTERNAL);
    }
  }

  /** Logs the call in one line when its answer is complete, or its connection is gone. */
  function observe(call) {
    const calls = connections.get(call.request.socket);
    if (!calls || calls.has(call)) return;
    calls.add(call);
    call.response.once('close', () => end(call, calls));
  }

  function end(call, calls) {
    if (!calls.delete(call)) return;
    log.info(describe(call), 'request');
    // A connection whose answer had begun before the stop was not told to close.
    if (draining) setImmediate(() => server.closeIdleConnections());
  }

  const server = http.createServer({ maxHeaderSize: 16_384, requireHostHeader: false }, serve);
  // Node would drop the fields beyond the first 1,000, among them a key or a second Host. 16 KiB hold some 3,000.
  server.maxHeadersCount = 0;
  // Node would answer Expect by itself. A refused request need not upload in vain.
  server.on('checkContinue', serve).on('checkExpectation', serve);
  server.on('clientError', refuseUnparsed);
  server.on('connection', (socket) => {
    const calls = new Set();
    connections.set(socket, calls);
    // Of a pipeline Node tells only the first response that the connection has gone. Here all calls are told.
    socket.once('close', () => {
      connections.delete(socket);
      for (const call of calls) {
        call.leave();
        end(call, calls);
      }
    });
  });
  const timeouts = Object.values(config.services).map(({ timeoutMs }) => timeoutMs);
  server.timeout = Math.max(...timeouts) + SILENCE_MS;

  /** Accepts no more connections, closes idle ones, lets the rest finish, then calls back. */
  function stop(done) {
    draining = true;
    for (const { response } of [...connections.values()].flatMap((calls) => [...calls])) {
      if (!response.headersSent) response.setHeader('connection', 'close');
    }
    server.close(done);
    // To Node a connection on which nothing was ever sent is not idle.
    const closeUnused = () => {
      for (const socket of connections.keys()) if (socket.bytesRead === 0) socket.destroy();
    };
    setTimeout(closeUnused, FIRST_REQUEST_MS).unref();
  }

  return { server, stop };
}

/** One request on its way through the gateway, and what the log will say of it. */
class Call {
  begun = performance.now();
  route = null;
  client = null;
  refusedBy = undefined;
  /** What to do when the client leaves. */
  leave = () => {};

  constructor(request, response) {
    this.request = request;
    this.response = response;
  }

  /** Answers with the problem. Nothing else writes a refusal. */
  refuse({ stage, status, headers, body }) {
    this.refusedBy = stage;
    this.response.writeHead(status, headers).end(body);
  }

  /** Cuts the connection: a clean end would pass half an answer off as a whole one. */
  cut(stage) {
    this.refusedBy = stage;
    this.response.destroy();
  }
}

function describe({ request, response, begun, route, client, refusedBy }) {
  const answered = response.writableFinished || refusedBy !== undefined;
  return {
    method: request.method,
    path: request.url.split('?', 1)[0], // secrets travel in queries
    route: route?.prefix ?? null,
    service: route?.service ?? null,
    client,
    status: answered ? response.statusCode : CLIENT_LEFT,
    durationMs: Math.round((performance.now() - begun) * 1000) / 1000,
    refusedBy,
  };
}

function isHealthCheck({ method, url }) {
  return url.split('?', 1)[0] === '/health' && (method === 'GET' || method === 'HEAD');
}

function answerHealthCheck(response) {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{"status":"ok"}');
}
