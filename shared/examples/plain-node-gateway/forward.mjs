import http from 'node:http';
import https from 'node:https';
import { urlToHttpOptions } from 'node:url';
import { answerHeaders, requestHeaders } from './headers.mjs';
import { lookup } from './lookup.mjs';
import { Problem } from './problem.mjs';
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
  return {
    ask: (options) =>
      (secure ? https : http).request({ ...urlToHttpOptions(new URL(url)), agent, ...options }),
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
export function forward(call, service, rest) {
  const { request, response } = call;
  const target = service.basePath + rest;
  const outgoing = service.ask({
    method: request.method,
    path: target.startsWith('/') ? target : `/${target}`,
    headers: requestHeaders(request, { host: service.host, prefix: call.route.prefix }),
  });
  const { 'content-length': length = '0', 'transfer-encoding': coding, expect = '' } = request.headers;
  const hasBody = length !== '0' || coding !== undefined;
  // RFC 9110 10.1.1: the client waits for 100 Continue before it uploads. HTTP/1.0 does not have it.
  const waits = hasBody && expect.toLowerCase() === '100-continue' && request.httpVersion === '1.1';
  let connected = false;
  let answer = null;
  let over = false;
  let received = 0;

  outgoing.once('socket', (socket) => {
    socket.off('data', hangUp);
    if (outgoing.reusedSocket) begin();
    else socket.once(service.connected, begin);
  });
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
  if (hasBody) request.pipe(outgoing);
  else outgoing.end();

  /** The service is connected. */
  function begin() {
    connected = true;
    if (!over && waits) response.writeContinue();
  }

  function pass(incoming) {
    if (over) return;
    if (incoming.statusCode < 100 || incoming.statusCode > 599 || !isChunkedAtMost(incoming.headers)) {
      fail(INVALID);
      return;
    }
    answer = incoming;
    clearTimeout(timer);
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
    request.unpipe(outgoing).resume();
    const isComplete = answer?.complete && outgoing.writableFinished;
    if (!isComplete) outgoing.destroy();
  }

  /** The timeout is over without a response. An upload that still moves may take longer. */
  function late() {
    if (answer || over) return;
    const progress = request.socket.bytesRead > received;
    received = request.socket.bytesRead;
    // It moves while the service waits for the client, or when more of it was read since the last timeout.
    const isUploading = hasBody && !request.readableEnded && (!outgoing.writableNeedDrain || progress);
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
