import http from 'node:http';
import { forward, openService } from './forward.mjs';
import { createIdentifier, refuseAnonymous } from './identify.mjs';
import { inOrder } from './in-order.mjs';
import { INTERNAL, Problem } from './problem.mjs';
import { createRouter } from './route.mjs';
import { refuseMalformed, refuseUnparsed } from './well-formed.mjs';

// The status that nginx logs when a client disconnects before its response is complete. It is never sent.
const CLIENT_LEFT = 499;

// A connection without traffic is closed after the longest `timeoutMs` of a service plus this time.
const SILENCE_MS = 300_000;

// A new connection gets this time after a stop signal: its first request may be on its way, or not read yet.
const FIRST_REQUEST_MS = 500;

const IDLE_CHECK_MS = 50;

/** Builds the gateway: its server, ready to listen, and `stop`. Read `serve` to follow a request. */
export function createGateway(config, log) {
  const services = new Map(Object.entries(config.services).map(([name, it]) => [name, openService(it)]));
  const findRoute = createRouter(config.routes);
  const identify = createIdentifier(config.clients);
  /** The unfinished calls of each connection. */
  const connections = new Map();
  let draining = false;

  function serve(request, response) {
    const call = new Call(request, response);
    // While the gateway drains, the client must not send another request on this connection.
    if (draining) response.setHeader('connection', 'close');
    attempt(call, () => {
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
      // Between two setImmediates the event loop reads what services have sent on idle connections (RFC 9112 9.2).
      const begin = () => attempt(call, () => forward(call, services.get(route.service), rest));
      setImmediate(() => setImmediate(() => response.destroyed || begin()));
    });
  }

  /** Does a part of the work for a request. What it throws is the answer. */
  function attempt(call, work) {
    try {
      work();
    } catch (error) {
      observe(call);
      if (!(error instanceof Problem)) log.error({ err: String(error?.stack) }, 'internal error');
      call.refuse(error instanceof Problem ? error : INTERNAL);
    }
  }

  /** Logs the call in one line when its response is complete, or its connection is closed. */
  function observe(call) {
    const calls = connections.get(call.request.socket);
    if (!calls || calls.has(call)) return;
    calls.add(call);
    call.response.once('close', () => end(call, calls));
  }

  function end(call, calls) {
    if (!calls.delete(call)) return;
    log.info(describe(call), 'request');
  }

  const serveNext = inOrder(serve);
  const server = http.createServer({ maxHeaderSize: 16_384, requireHostHeader: false }, serveNext);
  // By default Node drops header fields after the first 1,000, possibly a key or a second Host. 16 KiB hold some 3,000.
  server.maxHeadersCount = 0;
  // Without these listeners Node answers Expect itself, and a client sends an upload that is then refused.
  server.on('checkContinue', serveNext).on('checkExpectation', serveNext);
  server.on('clientError', (error, socket) => {
    const problem = refuseUnparsed(error, socket);
    // A call in flight on this connection has a line of its own, when the connection closes.
    if (problem && connections.get(socket)?.size === 0) log.info(describeUnparsed(problem), 'request');
  });
  server.on('connection', (socket) => {
    const calls = new Set();
    connections.set(socket, calls);
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

  // Node counts a connection as idle when its response has ended, and would throw away bytes that have not been sent.
  const closeIdleConnections = server.closeIdleConnections.bind(server);
  server.closeIdleConnections = () => {
    if (![...connections.keys()].some(hasUnsentResponse)) closeIdleConnections();
  };

  /** Accepts no more connections, closes idle ones, lets the rest finish, then calls back. */
  function stop(done) {
    draining = true;
    for (const { response } of [...connections.values()].flatMap((calls) => [...calls])) {
      if (!response.headersSent) response.setHeader('connection', 'close');
    }
    server.close(done);
    // Connections that become idle later, and have no `Connection: close` in their last response.
    setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS).unref();
    // server.close() does not close connections that have never carried a request. They would delay the end of the process.
    const closeUnused = () => {
      for (const socket of connections.keys()) if (socket.bytesRead === 0) socket.destroy();
    };
    setTimeout(closeUnused, FIRST_REQUEST_MS).unref();
  }

  return { server, stop };
}

function hasUnsentResponse({ _httpMessage, writableLength }) {
  return writableLength > 0 && _httpMessage?.finished !== false;
}

/** One request in the gateway, and what is logged about it. */
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

  /** Answers with the problem. All refusals are written here. */
  refuse({ stage, status, headers, body }) {
    this.refusedBy = stage;
    this.response.writeHead(status, headers).end(body);
  }

  /** Closes the connection: after a normal end, the client would take half a response for a complete one. */
  cut(stage) {
    this.refusedBy = stage;
    this.response.destroy();
  }
}

/** The parser knows neither method nor target. */
function describeUnparsed({ stage, status }) {
  const unknown = { method: null, path: null, route: null, service: null, client: null };
  return { ...unknown, status, durationMs: 0, refusedBy: stage };
}

function describe({ request, response, begun, route, client, refusedBy }) {
  const answered = response.writableFinished || refusedBy !== undefined;
  return {
    method: request.method,
    path: request.url.split('?', 1)[0], // a query may contain secrets
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
