import { STATUS_CODES } from 'node:http';
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

// RFC 9112 6.1: HTTP/1.0 has no Transfer-Encoding. Where such a request ends is unreliable, so nothing after it is read.
const CHUNKS_IN_1_0 = new Problem(
  'parse',
  400,
  'bad-request',
  'Malformed request',
  'Transfer-Encoding needs HTTP/1.1.',
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
  if (!isChunkedAtMost(headers)) throw BAD_REQUEST;
  if (httpVersion === '1.0' && headers['transfer-encoding'] !== undefined) throw CHUNKS_IN_1_0;
}

/**
 * True when Transfer-Encoding is absent or exactly `chunked` (RFC 9112 7). Node decodes chunks; `gzip, chunked` would be
 * forwarded still compressed, without the header that says so.
 */
export function isChunkedAtMost({ 'transfer-encoding': coding }) {
  return coding === undefined || coding.toLowerCase() === 'chunked';
}

/**
 * Answers what Node's parser refuses before there is a request: bad framing, large headers, slow clients. Returns the
 * problem that it sent, or undefined.
 */
export function refuseUnparsed(error, socket) {
  // `_httpMessage` is the current response. Once its header is sent, more bytes would be read as part of its body.
  if (!socket.writable || error.code === 'ECONNRESET' || socket._httpMessage?.headersSent) {
    socket.destroy();
    return undefined;
  }
  const problems = { HPE_HEADER_OVERFLOW: HEADERS_TOO_LARGE, ERR_HTTP_REQUEST_TIMEOUT: REQUEST_TIMEOUT };
  const problem = problems[error.code] ?? BAD_REQUEST;
  const { status, headers, body } = problem;
  const fields = Object.entries({ ...headers, connection: 'close', date: new Date().toUTCString() }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...fields];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
  return problem;
}
