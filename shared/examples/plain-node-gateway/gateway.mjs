import http from 'node:http';
import { addressForLog, peerOf } from './address.mjs';
import { closeInStages, isDeaf, stopParsing } from './closing.mjs';
import { forward, openService } from './forward.mjs';
import { createIdentifier, refuseAnonymous } from './identify.mjs';
import { inOrder } from './in-order.mjs';
import { refuseLoops } from './loop.mjs';
import { INTERNAL, Problem } from './problem.mjs';
import { createRouter } from './route.mjs';
import { problemOfParser, refuseMalformed, refuseUnparsed } from './well-formed.mjs';

// The status that nginx logs when a client disconnects before its response is complete. It is never sent.
const CLIENT_LEFT = 499;

// A connection without traffic is closed after the longest `timeoutMs` of a service plus this time.
const SILENCE_MS = 300_000;

// A connection without a request gets this time when the drain begins: its next one may be on its way, or not read yet.
const NEXT_REQUEST_MS = 500;

const IDLE_CHECK_MS = 50;

/** Builds the gateway: its server, ready to listen, and `stop`. `name` is for Via. Read `serve` to follow a request. */
export function createGateway(config, log, name, keepAliveTimeout) {
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
      refuseLoops(request, name);
      const { route, rest } = findRoute(request);
      call.route = route;
      call.client = identify(request);
      refuseAnonymous(call.client, route);
      // Between two setImmediates the event loop reads what services have sent on idle connections (RFC 9112 9.2).
      const begin = () => attempt(call, () => forward(call, services.get(route.service), rest, name));
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
      // The parser has not read the body yet that came with the header.
      call.request.resume();
      setImmediate(() => call.refuse(error instanceof Problem ? error : INTERNAL));
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
  const options = { maxHeaderSize: 16_384, requireHostHeader: false, keepAliveTimeout };
  const server = http.createServer(options, serveNext);
  // By default Node drops header fields after the first 1,000, possibly a key or a second Host. 16 KiB hold some 3,000.
  server.maxHeadersCount = 0;
  // Without these listeners Node answers Expect itself, and a client sends an upload that is then refused.
  server.on('checkContinue', serveNext).on('checkExpectation', serveNext);
  server.on('clientError', (error, socket) => {
    if (isDeaf(socket)) return;
    // `_httpMessage` is the response to the request in flight.
    const { _httpMessage: response, writable } = socket;
    if (!writable || error.code === 'ECONNRESET') {
      socket.destroy();
    } else if (response?.req.complete) {
      // What is wrong comes after the request: it gets its response, and then the connection ends.
      stopParsing(socket);
      if (!response.headersSent) response.setHeader('connection', 'close');
      response.once('finish', () => closeInStages(socket));
      socket.once('end', () => response.writableFinished || socket.destroy());
    } else if (response && (response.headersSent || error.code === 'HPE_INVALID_EOF_STATE')) {
      // The client has left, or would read more bytes as a part of the response.
      socket.destroy();
    } else if (response) {
      stopParsing(socket);
      const [call] = connections.get(socket);
      call.leave();
      call.refuse(problemOfParser(error));
    } else {
      const problem = problemOfParser(error);
      refuseUnparsed(problem, socket);
      log.info(describeUnparsed(problem, socket), 'request');
    }
  });
  server.on('connection', (socket) => {
    // Node calls this after a response with Connection: close.
    socket.destroySoon = () => closeInStages(socket);
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
    // server.close() closes the connections that are idle now. To Node those are not idle that have never carried a
    // request, or half a request header.
    const closeUnused = () => {
      for (const socket of connections.keys()) if (isUnused(socket)) socket.destroy();
    };
    setTimeout(() => setInterval(closeUnused, IDLE_CHECK_MS).unref(), NEXT_REQUEST_MS).unref();
  }

  return { server, stop };
}

function hasUnsentResponse({ _httpMessage, writableLength }) {
  return writableLength > 0 && _httpMessage?.finished !== false;
}

/** True when no response is in progress or unsent, and no body arrives. */
function isUnused({ _httpMessage, writableLength, parser }) {
  return !_httpMessage && writableLength === 0 && parser?.incoming?.complete !== false;
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
    this.peer = peerOf(request.socket); // unknown once the connection is closed
    this.response = response;
  }

  /** Answers with the problem, unless there is an answer. All refusals are written here. */
  refuse({ stage, status, headers, body }) {
    if (this.response.headersSent || this.response.destroyed) return;
    this.refusedBy = stage;
    // The rest of an upload is not read to its end.
    if (!this.request.complete) this.response.setHeader('connection', 'close');
    this.response.writeHead(status, headers).end(body);
  }

  /** Closes the connection: after a normal end, the client would take half a response for a complete one. */
  cut(stage) {
    this.refusedBy = stage;
    // For a client of HTTP/1.0 the end of the connection is the end of the response. A reset is not.
    if (this.request.httpVersion === '1.0') this.response.socket.resetAndDestroy();
    else this.response.destroy();
  }
}

/** The parser knows neither method nor target. */
function describeUnparsed({ stage, status }, socket) {
  const unknown = { method: null, path: null, route: null, service: null, client: null };
  return { ...unknown, address: addressForLog(peerOf(socket)), status, durationMs: 0, refusedBy: stage };
}

function describe({ request, response, peer, begun, route, client, refusedBy }) {
  const answered = response.writableFinished || refusedBy !== undefined;
  return {
    method: request.method,
    path: request.url.split('?', 1)[0], // a query may contain secrets
    route: route?.prefix ?? null,
    service: route?.service ?? null,
    client,
    address: addressForLog(peer),
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
