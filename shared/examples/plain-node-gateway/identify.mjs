import { createHash } from 'node:crypto';
import { Problem } from './problem.mjs';

const CHALLENGE = { 'www-authenticate': 'ApiKey realm="gateway"' };

const UNKNOWN_KEY = new Problem(
  'identify',
  401,
  'unknown-key',
  'Unknown API key',
  'The X-API-Key field must hold one valid key, once. Leave it out to call as anonymous.',
  CHALLENGE,
);

const KEY_REQUIRED = new Problem(
  'access',
  401,
  'key-required',
  'API key required',
  'This route is for known clients. Send your key in the X-API-Key field.',
  CHALLENGE,
);

/** The name of callers without a key. */
export const ANONYMOUS = 'anonymous';

/** Stage identify: a function that returns the id of the client, or `anonymous`. */
export function createIdentifier(clients) {
  // By digest, so that the time of a lookup reveals nothing about a key. A Map has no inherited `__proto__`.
  const byDigest = new Map(clients.flatMap(({ id, keySha256 }) => keySha256.map((digest) => [digest, id])));

  return ({ headersDistinct }) => {
    const keys = headersDistinct['x-api-key'];
    // Compared with undefined, because an empty key is a wrong key.
    if (keys === undefined) return ANONYMOUS;
    const client = keys.length === 1 ? byDigest.get(digestOf(keys[0])) : undefined;
    if (client === undefined) throw UNKNOWN_KEY;
    return client;
  };
}

/** Stage access: a protected route is for callers with a known key. */
export function refuseAnonymous(client, route) {
  if (route.access === 'protected' && client === ANONYMOUS) throw KEY_REQUIRED;
}

// Node decodes header bytes as latin1. Encoded as latin1 again, they are the bytes that the client sent.
function digestOf(key) {
  return createHash('sha256').update(key, 'latin1').digest('hex');
}
