// RFC 9110 7.6.1: fields that speak of one connection and end with it, whichever way they travel.
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

// Beside these: what the gateway answers itself (Expect), and what only it may say.
const NOT_TO_SERVICES = [...HOP_BY_HOP, 'expect', 'forwarded', 'host', 'x-api-key', 'x-real-ip'];

/** The header fields of a request that its service gets. */
export function requestHeaders(request, host) {
  const { headers, headersDistinct, httpVersion, socket } = request;
  // First, because servers ignore what comes after so many fields: nobody can push these over that edge.
  const own = {
    host,
    'x-forwarded-for': socket.remoteAddress,
    'x-forwarded-proto': 'http',
    'x-forwarded-host': headers.host ?? '',
    via: [...(headersDistinct.via ?? []), `${httpVersion} plain-node-gateway`],
  };
  const others = keep(request, (name) => {
    // CGI-like servers cannot tell X_Forwarded_For from X-Forwarded-For, so neither do we.
    const dashed = name.replaceAll('_', '-');
    return !NOT_TO_SERVICES.includes(dashed) && !dashed.startsWith('x-forwarded-') && name !== 'via';
  });
  const kept = Object.assign(Object.create(null), own, others);
  // Node would frame a body by itself, but on GET and DELETE it expects none.
  if (headers['transfer-encoding'] !== undefined) kept['transfer-encoding'] = 'chunked';
  return lengthLast(kept, headers);
}

/** The header fields of an answer that the client gets. */
export function answerHeaders(answer) {
  const kept = keep(answer, (name) => !HOP_BY_HOP.includes(name));
  return lengthLast(kept, answer.headers);
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

/** The length stays, whatever Connection lists. Behind it Node would garble a Content-Disposition, so it is last. */
function lengthLast(kept, headers) {
  delete kept['content-length'];
  if (headers['content-length'] !== undefined) kept['content-length'] = headers['content-length'];
  return kept;
}
