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

/** Stage identify: a function that says who is calling, the id of a client or `anonymous`. */
export function createIdentifier(clients) {
  // By digest: the time of a lookup tells nothing about a key. In a Map: `__proto__` is no member of it.
  const byDigest = new Map(clients.flatMap(({ id, keySha256 }) => keySha256.map((digest) => [digest, id])));

  return ({ headersDistinct }) => {
    const keys = headersDistinct['x-api-key'];
    // Undefined, not falsy: an empty key is a wrong key.
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

// Node reads header bytes as latin1: written back the same way, they are the bytes the client sent.
function digestOf(key) {
  return createHash('sha256').update(key, 'latin1').digest('hex');
}
