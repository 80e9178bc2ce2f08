import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BAD_REQUEST } from './problem.ts';

// One or two dots between separators, in any spelling. Some servers decode %2f and %5c, or cut a segment at ';',
// before they resolve dots. Such a server could read a path outside the base path of the service.
const DOT_SEGMENT = /^[^?]*?(?:\/|%2f|%5c)(?:\.|%2e){1,2}(?=[/?;]|%2f|%5c|%3b|$)/i;

// RFC 3986 allows no backslash in a path and no fragment in a request target.
const NOT_IN_A_TARGET = /^[^?]*\\|#/;

/** A host and a port, RFC 3986 3.2.2, without the comma: the value is forwarded in X-Forwarded-Host, which is a list. */
export const HOST = /^(?:[\w.~!$&'()*+;=%-]*|\[[\da-f:.]+\])(?::\d*)?$/i;

/** Gate: refuses requests that two servers could read in two ways. */
export function wellFormed(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const { url, rawHeaders, headers, httpVersion } = request.raw;
  // Origin-form only (RFC 9112 3.2.1): a gateway is not a forward proxy.
  if (url === undefined || url[0] !== '/' || NOT_IN_A_TARGET.test(url) || DOT_SEGMENT.test(url)) {
    throw BAD_REQUEST;
  }

  // Node's parser also accepts other versions, such as 0.9 and 2.0, and requests without one.
  if (httpVersion !== '1.1' && httpVersion !== '1.0') throw BAD_REQUEST;

  // RFC 9112 3.2: exactly one Host. Node silently keeps the first of several, so the raw fields are counted.
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1 || (hosts === 0 && httpVersion !== '1.0') || !HOST.test(headers.host ?? '')) {
    throw BAD_REQUEST;
  }
  // RFC 9112 6.1: HTTP/1.0 has no Transfer-Encoding. The framing of such a request is unreliable, so nothing after it is read.
  const isUnreliable = httpVersion === '1.0' && headers['transfer-encoding'] !== undefined;
  if (isUnreliable || !hasOnlyChunkedCoding(headers)) {
    reply.header('connection', 'close');
    throw BAD_REQUEST;
  }
  done();
}

/**
 * True when Transfer-Encoding is absent or exactly `chunked` (RFC 9112 7). Node decodes chunks; `gzip, chunked` would
 * be forwarded still compressed, without the header that says so.
 */
export function hasOnlyChunkedCoding(headers: IncomingHttpHeaders): boolean {
  const coding = headers['transfer-encoding'];
  return coding === undefined || String(coding).toLowerCase() === 'chunked';
}
