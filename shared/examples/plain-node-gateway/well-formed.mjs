import { STATUS_CODES } from 'node:http';
import { closeInStages } from './closing.mjs';
import { BAD_REQUEST, Problem } from './problem.mjs';

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

// The end of such a request is unreliable, so nothing after it is read.
const UNCLEAR_END = new Problem(
  'parse',
  400,
  'bad-request',
  'Malformed request',
  'Transfer-Encoding must be chunked, and needs HTTP/1.1.',
  { connection: 'close' },
);

// A segment `.` or `..`, in any spelling. Some servers decode %2f and %5c, or cut at ';', before they resolve dots.
const DOT_SEGMENT = /(?:\/|%2f|%5c)(?:\.|%2e){1,2}(?=\/|;|%2f|%5c|%3b|$)/i;

// RFC 3986 3.2.2 without the comma: the value is forwarded in X-Forwarded-Host, which is a list.
const HOST = /^(?:[\w.~!$&'()*+;=%-]*|\[[\da-f:.]+\])(?::\d*)?$/i;

/** Stage parse: refuses requests that two servers could interpret differently. */
export function refuseMalformed({ url, headers, headersDistinct, httpVersion }) {
  const [path] = url.split('?', 1);
  // Origin-form only (RFC 9112 3.2.1), because a gateway is not a forward proxy. A request target has no fragment.
  if (!url.startsWith('/') || url.includes('#') || path.includes('\\') || DOT_SEGMENT.test(path)) {
    throw BAD_REQUEST;
  }
  // The parser of Node also accepts 0.9, 2.0, and a request without a version.
  if (httpVersion !== '1.1' && httpVersion !== '1.0') throw BAD_REQUEST;
  const { host = [] } = headersDistinct;
  // RFC 9112 3.2: exactly one Host. HTTP/1.0 requests may have none.
  const enough = host.length === 1 || (host.length === 0 && httpVersion === '1.0');
  if (!enough || !HOST.test(host[0] ?? '')) throw BAD_REQUEST;
  // RFC 9112 6.1: HTTP/1.0 has no Transfer-Encoding.
  const mayBeChunked = httpVersion !== '1.0' || headers['transfer-encoding'] === undefined;
  if (!isChunkedAtMost(headers) || !mayBeChunked) throw UNCLEAR_END;
}

/**
 * True when Transfer-Encoding is absent or exactly `chunked` (RFC 9112 7). Node decodes chunks; `gzip, chunked` would be
 * forwarded still compressed, without the header that says so.
 */
export function isChunkedAtMost({ 'transfer-encoding': coding }) {
  return coding === undefined || coding.toLowerCase() === 'chunked';
}

/** The problem that an error of Node's parser stands for: bad framing, large headers, slow clients. */
export function problemOfParser({ code }) {
  const problems = { HPE_HEADER_OVERFLOW: HEADERS_TOO_LARGE, ERR_HTTP_REQUEST_TIMEOUT: REQUEST_TIMEOUT };
  return problems[code] ?? BAD_REQUEST;
}

/** Refuses what the parser has refused before there was a request. */
export function refuseUnparsed({ status, headers, body }, socket) {
  const fields = Object.entries({ ...headers, connection: 'close', date: new Date().toUTCString() }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...fields];
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  closeInStages(socket);
}
