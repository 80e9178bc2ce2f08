import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BAD_REQUEST, Problem } from './problem.ts';

const HEADERS_TOO_LARGE = new Problem(
  'parse',
  431,
  'headers-too-large',
  'Headers too large',
  'The request headers exceed 16 KiB. Send fewer or shorter ones.',
);

const REQUEST_TIMEOUT = new Problem(
  'parse',
  408,
  'request-timeout',
  'Request timeout',
  'The request did not arrive completely in time. Send it again on a new connection.',
);

// One or two dots between separators, in any spelling. Some servers decode %2f and %5c, or cut a segment at
// ';', before they resolve dots, so a path that is harmless here could climb out of the base path over there.
const DOT_SEGMENT = /^[^?]*?(?:\/|%2f|%5c)(?:\.|%2e){1,2}(?=[/?;]|%2f|%5c|%3b|$)/i;

// RFC 3986 has no place for a backslash or, in a request target, for a fragment.
const NOT_IN_A_TARGET = /^[^?]*\\|#/;

// RFC 3986 3.2.2, less the comma: the value travels on in X-Forwarded-Host, which is a list.
const HOST = /^(?:[\w.~!$&'()*+;=%-]*|\[[\da-f:.]+\])(?::\d*)?$/i;

/** Gate: refuses requests that two servers could read in two ways. Runs before routing has any effect. */
export function wellFormed(request: FastifyRequest, _reply: FastifyReply, done: () => void): void {
  const { url, rawHeaders, headers, httpVersion } = request.raw;
  // Origin-form only: a gateway is no forward proxy.
  if (url === undefined || url[0] !== '/' || NOT_IN_A_TARGET.test(url) || DOT_SEGMENT.test(url)) {
    throw BAD_REQUEST;
  }

  // RFC 9112 3.2: exactly one Host. Node keeps the first of several and says nothing, so count the raw ones.
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1 || (hosts === 0 && httpVersion !== '1.0') || !HOST.test(headers.host ?? '')) {
    throw BAD_REQUEST;
  }
  if (!isChunkedAtMost(headers)) throw BAD_REQUEST;
  done();
}

/**
 * Whether a body is coded for its connection by chunks alone (RFC 9112 7). Node undoes those. A body that is also
 * compressed would travel on without the field that says so.
 */
export function isChunkedAtMost(headers: IncomingHttpHeaders): boolean {
  const coding = headers['transfer-encoding'];
  return coding === undefined || String(coding).toLowerCase() === 'chunked';
}

/** Answers what Node's parser refused before there was a request: bad framing, huge headers, slow senders. */
export function refuseUnparsed(error: NodeJS.ErrnoException, socket: Socket): void {
  // Once an answer has begun on this connection, more bytes would be read as part of it.
  const { _httpMessage } = socket as Socket & { _httpMessage?: { headersSent: boolean } };
  if (!socket.writable || error.code === 'ECONNRESET' || _httpMessage?.headersSent) {
    socket.destroy();
    return;
  }
  const problem =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? HEADERS_TOO_LARGE
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? REQUEST_TIMEOUT
        : BAD_REQUEST;
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(problem.body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${problem.body}`, () => socket.destroy());
}
