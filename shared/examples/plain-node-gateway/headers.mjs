import { peerOf } from './address.mjs';

// RFC 9110 7.6.1: hop-by-hop fields apply to one connection only, in requests and in responses.
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

// Also removed: Expect, which the gateway answers itself, and fields that only the gateway may set.
// CGI-like servers read Content_Length as the length of the body.
const NOT_TO_SERVICES = [
  ...HOP_BY_HOP,
  'content_length',
  'expect',
  'forwarded',
  'host',
  'x-api-key',
  'x-real-ip',
];

/**
 * The header fields of a request that its service gets: the host of the service, the prefix of the route, the name of the
 * gateway.
 */
export function requestHeaders(request, { host, prefix, name }) {
  const { headers, headersDistinct, httpVersion, socket } = request;
  // First: many servers ignore fields beyond a limit (Node: 1,000), and a client could push these past it by sending
  // many of its own.
  const own = {
    host,
    'x-forwarded-for': peerOf(socket),
    'x-forwarded-proto': 'http',
    'x-forwarded-host': headers.host ?? '',
    'x-forwarded-prefix': prefix,
    via: [...(headersDistinct.via ?? []), `${httpVersion} ${name}`],
  };
  const others = keep(request, (field) => {
    // CGI-like servers treat X_Forwarded_For like X-Forwarded-For, so both are removed.
    const dashed = field.replaceAll('_', '-');
    const isOurs = [field, dashed].some((spelling) => NOT_TO_SERVICES.includes(spelling));
    return !isOurs && !dashed.startsWith('x-forwarded-') && field !== 'via';
  });
  const kept = Object.assign(Object.create(null), own, others);
  // Node sets Transfer-Encoding itself, but not for GET and DELETE, where it expects no body.
  if (headers['transfer-encoding'] !== undefined) kept['transfer-encoding'] = 'chunked';
  return lengthLast(kept, headers);
}

/** An interim answer (1xx) as it is written to the client. It has no body, and so no length (RFC 9110 8.6). */
export function interimHeader({ statusCode, statusMessage, headers, rawHeaders }) {
  const listed = (headers.connection ?? '').toLowerCase().split(/\s*,\s*/);
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage}`];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i].toLowerCase();
    if (HOP_BY_HOP.includes(name) || name === 'content-length' || listed.includes(name)) continue;
    lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** The header fields of an answer that the client gets. */
export function answerHeaders(answer) {
  const kept = keep(answer, (name) => !HOP_BY_HOP.includes(name));
  // RFC 9110 8.6: a 204 has no Content-Length.
  return lengthLast(kept, answer.statusCode === 204 ? {} : answer.headers);
}

/** The end-to-end fields of a message: each name with all its values, in their order. */
function keep({ headers, headersDistinct }, isEndToEnd) {
  const listed = (headers.connection ?? '').toLowerCase().split(/\s*,\s*/);
  const kept = Object.create(null); // a field may be called __proto__
  for (const [name, values] of Object.entries(headersDistinct)) {
    if (isEndToEnd(name) && !listed.includes(name)) kept[name] = values;
  }
  return kept;
}

/** Content-Length stays, even if Connection lists it. It is last: Node garbles a Content-Disposition that follows it. */
function lengthLast(kept, headers) {
  delete kept['content-length'];
  // `05` is written as `5`.
  const length = headers['content-length']?.replace(/^0+(?=\d)/, '');
  if (length !== undefined) kept['content-length'] = length;
  return kept;
}
