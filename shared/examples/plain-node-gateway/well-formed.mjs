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

// One or two dots between separators, in any spelling: some servers decode %2f and %5c, or cut at ';', first.
const DOT_SEGMENT = /(?:\/|%2f|%5c)(?:\.|%2e){1,2}(?=\/|;|%2f|%5c|%3b|$)/i;

// RFC 3986 3.2.2, less the comma: the value travels on in X-Forwarded-Host, which is a list.
const HOST = /^(?:[\w.~!$&'()*+;=%-]*|\[[\da-f:.]+\])(?::\d*)?$/i;

/** Stage parse: refuses requests that two servers could read in two ways. */
export function refuseMalformed({ url, headers, headersDistinct, httpVersion }) {
  const [path] = url.split('?', 1);
  // Origin-form only, for a gateway is no forward proxy; and a fragment has no place in a request.
  if (!url.startsWith('/') || url.includes('#') || path.includes('\\') || DOT_SEGMENT.test(path)) {
    throw BAD_REQUEST;
  }
  const { host = [] } = headersDistinct;
  // RFC 9112 3.2: exactly one Host. HTTP/1.0 did not know it yet.
  const enough = host.length === 1 || (host.length === 0 && httpVersion === '1.0');
  if (!enough || !HOST.test(host[0] ?? '')) throw BAD_REQUEST;
  if (!isChunkedAtMost(headers)) throw BAD_REQUEST;
}

/** Whether chunks alone code the body for its connection (RFC 9112 7). A compressed one would lose the field that says so. */
export function isChunkedAtMost({ 'transfer-encoding': coding }) {
  return coding === undefined || coding.toLowerCase() === 'chunked';
}

/** Answers what Node's parser refused before there was a request: bad framing, huge headers, slow senders. */
export function refuseUnparsed(error, socket) {
  // `_httpMessage` is the answer under way. More bytes behind its beginning would be read as part of it.
  if (!socket.writable || error.code === 'ECONNRESET' || socket._httpMessage?.headersSent) {
    socket.destroy();
    return;
  }
  const problems = { HPE_HEADER_OVERFLOW: HEADERS_TOO_LARGE, ERR_HTTP_REQUEST_TIMEOUT: REQUEST_TIMEOUT };
  const { status, headers, body } = problems[error.code] ?? BAD_REQUEST;
  const fields = Object.entries({ ...headers, connection: 'close' }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...fields];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
