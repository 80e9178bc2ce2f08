/**
 * A refusal, answered as application/problem+json (RFC 9457). A stage throws it, the gateway answers with it.
 * It contains no data of the request and no internals, so each is created once and thrown many times.
 */
export class Problem extends Error {
  constructor(stage, status, name, title, detail, headers = {}) {
    super(detail);
    this.stage = stage;
    this.status = status;
    this.body = JSON.stringify({ type: `urn:gateway:problem:${name}`, title, status, detail });
    this.headers = {
      ...headers,
      'content-type': 'application/problem+json',
      'content-length': Buffer.byteLength(this.body),
    };
  }
}

/** The request violates HTTP, or two servers could interpret it differently. */
export const BAD_REQUEST = new Problem(
  'parse',
  400,
  'bad-request',
  'Malformed request',
  'The request is malformed or ambiguous. Check its path, its Host field and its framing.',
);

/** A bug of the gateway. The client learns no details. */
export const INTERNAL = new Problem(
  'gateway',
  500,
  'internal',
  'Internal error',
  'The gateway failed to handle this request. The fault is not in the request.',
);
