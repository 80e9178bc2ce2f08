import http from 'node:http';
import https from 'node:https';
import { urlToHttpOptions } from 'node:url';
import { answerHeaders, interimHeader, requestHeaders } from './headers.mjs';
import { lookup } from './lookup.mjs';
import { BAD_REQUEST, Problem } from './problem.mjs';
import { collect, hasBody, isShort, stream } from './upload.mjs';
import { isChunkedAtMost } from './well-formed.mjs';

// A response whose body pauses for this long counts as cut short. The time is long because event streams may pause.
const SILENCE_MS = 300_000;

const UNREACHABLE = new Problem(
  'forward',
  502,
  'upstream-unreachable',
  'Service unreachable',
  'No connection to the service could be made. Nothing was sent.',
);

const RESET = new Problem(
  'forward',
  502,
  'upstream-reset',
  'Service broke off',
  'The service closed the connection without an answer. Whether it acted on the request is unknown.',
);

const EXHAUSTED = new Problem(
  'forward',
  503,
  'gateway-exhausted',
  'Gateway out of resources',
  'The gateway has no resources left to open a connection. Nothing was sent. Try again shortly.',
);

// The errors of a connection attempt that say nothing about the service.
const LOCAL_ERRORS = ['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM'];

const INVALID = new Problem(
  'forward',
  502,
  'upstream-invalid',
  'Service answered garbage',
  'The answer of the service is not valid HTTP, or its headers exceed 16 KiB.',
);

const TIMEOUT = new Problem(
  'forward',
  504,
  'upstream-timeout',
  'Service timed out',
  'The service did not answer in time. Whether it acted on the request is unknown.',
);

// A connection gets no new request when it is this old, so that the gateway follows a name that leads elsewhere.
const LONGEST_LIFE_MS = 60_000;

// Connections that were opened together live up to this much shorter, so that they are not renewed in the same instant.
const LIFE_SPREAD_MS = 12_000;

/** A service of the config, with its keep-alive connections. Node verifies its TLS certificate. */
export function openService({ url, timeoutMs }) {
  const { protocol, host, pathname } = new URL(url);
  const secure = protocol === 'https:';
  const agent = new (secure ? https : http).Agent({
    keepAlive: true,
    lookup,
    // Of a name with several addresses, Node gives each this time to accept (by default 250 ms).
    autoSelectFamilyAttemptTimeout: Math.max(250, timeoutMs / 2),
  });
  // RFC 9112 9.2: bytes on an idle connection are not the answer to the next request.
  agent.on('free', (socket) => socket.once('data', hangUp));
  /** When each connection is too old. */
  const ends = new WeakMap();
  const closeOld = () => {
    for (const socket of Object.values(agent.freeSockets).flat()) {
      if (ends.get(socket) > Date.now()) continue;
      socket.destroy();
      socket.emit('agentRemove'); // otherwise the agent forgets it only when it is closed, and may use it before
    }
  };
  return {
    ask(options) {
      closeOld();
      const request = (secure ? https : http).request({
        ...urlToHttpOptions(new URL(url)),
        agent,
        ...options,
      });
      request.once('socket', (socket) => {
        if (!request.reusedSocket)
          ends.set(socket, Date.now() + LONGEST_LIFE_MS - Math.random() * LIFE_SPREAD_MS);
      });
      return request;
    },
    host,
    basePath: pathname === '/' ? '' : pathname,
    connected: secure ? 'secureConnect' : 'connect',
    timeoutMs,
  };
}

function hangUp() {
  this.destroy();
}

/** Sends the request to a service, once, and streams the answer back. Never retries. */
export function forward(call, service, rest, name) {
  const { request, response } = call;
  // RFC 9110 10.1.1: the client waits for 100 Continue before it uploads. HTTP/1.0 does not have it.
  const { expect = '' } = request.headers;
  const waits = hasBody(request) && expect.toLowerCase() === '100-continue' && request.httpVersion === '1.1';
  if (hasBody(request) && isShort(request)) {
    if (waits && !request.complete) response.writeContinue();
    collect(request, (body) => start(call, service, rest, { body, waits: false, name }));
  } else {
    start(call, service, rest, { body: null, waits, name });
  }
}

/** Starts the call. `body`: null if there is none, or if it is streamed. */
function start(call, service, rest, { body, waits, name }) {
  const { request, response } = call;
  const target = service.basePath + rest;
  const outgoing = service.ask({
    method: request.method,
    path: target.startsWith('/') ? target : `/${target}`,
    headers: requestHeaders(request, { host: service.host, prefix: call.route.prefix, name }),
  });
  let connected = false;
  let answer = null;
  let over = false;
  let received = 0;
  let endUpload = () => {};

  outgoing.once('socket', (socket) => {
    socket.off('data', hangUp);
    if (outgoing.reusedSocket) begin();
    else socket.once(service.connected, begin);
  });
  outgoing.on('information', passInterim);
  outgoing.once('response', pass);
  outgoing.once('upgrade', (_answer, socket) => {
    socket.destroy();
    fail(INVALID); // the gateway never sends Upgrade
  });
  // Once there is a response, its end is the end of the call: a service may refuse an upload after half of it.
  // Exception: without Content-Length and chunks, the end of the connection ends the response, and Node takes a reset
  // for that end.
  outgoing.on('error', (error) => {
    if (!answer) fail(problemOf(error, connected));
    else if (error.code === 'ECONNRESET' && !tellsItsEnd(answer)) fail(RESET);
  });
  call.leave = end;

  // The timeout starts again when the whole request has been sent.
  // After a pause of the process it fires before an answer in the socket is read, so the check is in a setImmediate.
  const timer = setTimeout(() => setImmediate(late), service.timeoutMs);
  outgoing.once('finish', () => timer.refresh());
  const streams = body === null && hasBody(request);
  if (streams) endUpload = stream(request, outgoing, () => fail(BAD_REQUEST));
  else outgoing.end(body ?? undefined);

  /** The service is connected. */
  function begin() {
    connected = true;
    if (!over && waits) response.writeContinue();
  }

  /** RFC 9110 15.2: HTTP/1.0 has no interim answers. */
  function passInterim(interim) {
    if (over || answer) return;
    if (interim.statusCode > 101 && request.httpVersion === '1.1') {
      response.socket.write(interimHeader(interim), 'latin1');
    }
  }

  function pass(incoming) {
    if (over) return;
    // A 101 without Upgrade is reported as a response.
    if (incoming.statusCode < 200 || incoming.statusCode > 599 || !isChunkedAtMost(incoming.headers)) {
      fail(INVALID);
      return;
    }
    answer = incoming;
    clearTimeout(timer);
    if (!request.complete) response.setHeader('connection', 'close');
    response.writeHead(answer.statusCode, answerHeaders(answer));
    // Send the header now, because the first event of a stream may come much later. flushHeaders() would encode the
    // fields as UTF-8; with an empty write, Node sends their bytes unchanged.
    response.write(Buffer.alloc(0));
    answer.setTimeout(SILENCE_MS, () => fail(RESET));
    answer.once('error', () => fail(RESET));
    answer.once('end', end);
    answer.pipe(response);
  }

  function fail(problem) {
    if (over) return;
    end();
    if (answer) call.cut('forward');
    else call.refuse(problem);
  }

  /** The call has ended, with or without success. The rest of an upload is read and discarded. */
  function end() {
    over = true;
    clearTimeout(timer);
    endUpload();
    const isComplete = answer?.complete && outgoing.writableFinished;
    if (!isComplete) outgoing.destroy();
  }

  /** The timeout is over without a response. An upload that still moves may take longer. */
  function late() {
    if (answer || over) return;
    const progress = request.socket.bytesRead > received;
    received = request.socket.bytesRead;
    // It moves while the service waits for the client, or when more of it was read since the last timeout.
    const isUploading = streams && !request.readableEnded && (!outgoing.writableNeedDrain || progress);
    if (connected && isUploading) timer.refresh();
    else fail(TIMEOUT);
  }
}

function tellsItsEnd({ headers }) {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

function problemOf(error, connected) {
  if (LOCAL_ERRORS.includes(error.code)) return EXHAUSTED;
  if (!connected) return UNREACHABLE;
  return String(error.code).startsWith('HPE_') ? INVALID : RESET;
}
