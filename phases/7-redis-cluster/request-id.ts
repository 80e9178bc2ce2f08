import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

// Random per process; with the counter behind it, unique per request, and short.
const ID_PREFIX = randomUUID().replaceAll('-', '').slice(16);
let ids = 0;

/** Returns a new request id. */
export function newId(): string {
  ids += 1;
  return `${ID_PREFIX}-${ids}`;
}

/** Returns the X-Request-Id of the client if it is well-formed, otherwise a new one. */
export function requestId({ headers }: IncomingMessage): string {
  const id = headers['x-request-id'] as string | undefined;
  // Node joins repeated fields with a comma, which the pattern does not allow.
  return id !== undefined && /^[\w.-]{1,128}$/.test(id) ? id : newId();
}
