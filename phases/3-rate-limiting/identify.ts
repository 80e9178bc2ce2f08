import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { Problem } from './problem.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is calling. Null until the identify stage has run. */
    client: Client | null;
  }
}

/** A caller as the later stages see it. No caller and no service learns the id. */
export interface Client {
  readonly id: string;
  readonly class: 'identified' | 'anonymous';
}

/** One client of the config. Several keys, each by its SHA-256 digest, allow a change without a gap. */
const clientSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[\w.-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, dashes or underscores')
    .refine((id) => id !== 'anonymous', 'is the name of callers without a key'),
  keySha256: z
    .array(
      z
        .string()
        .regex(/^[\da-f]{64}$/, 'must be a SHA-256 digest, 64 lower-case hex digits (npm run key makes one)'),
    )
    .min(1),
});

/** The clients of the config, each id and each digest once. */
export const clientsSchema = z.array(clientSchema).superRefine(
  (clients, context) => {
    const seen = new Set<string>();
    const refuseTwice = (value: string, path: PropertyKey[], message: string) => {
      if (seen.has(value)) context.addIssue({ code: 'custom', path, message });
      seen.add(value);
    };
    for (const [i, client] of clients.entries()) {
      refuseTwice(`id ${client?.id}`, [i, 'id'], 'an earlier client has this id too');
      for (const [k, digest] of (Array.isArray(client?.keySha256) ? client.keySha256 : []).entries()) {
        refuseTwice(digest, [i, 'keySha256', k], 'this digest stands in the config already');
      }
    }
  },
  { when: ({ value }) => Array.isArray(value) },
);

type ClientConfig = z.infer<typeof clientSchema>;

const ANONYMOUS: Client = { id: 'anonymous', class: 'anonymous' };

const UNKNOWN_KEY = new Problem(
  'identify',
  401,
  'unknown-key',
  'Unknown API key',
  'The X-API-Key field must hold one valid key, once. Leave it out to call as anonymous.',
);

const KEY_REQUIRED = new Problem(
  'access',
  401,
  'key-required',
  'API key required',
  'This route is for known clients. Send your key in the X-API-Key field.',
);

/**
 * Gate: tells who is calling, or refuses a key it does not know, on public routes too: a caller with a broken
 * key wants to hear of it. The key itself goes no further than this function.
 */
export function identify(clients: ClientConfig[]) {
  // By digest: the time of a lookup tells nothing about a key. In a Map: `__proto__` is no member of it.
  const byDigest = new Map<string, Client>();
  for (const { id, keySha256 } of clients) {
    const client: Client = { id, class: 'identified' };
    for (const digest of keySha256) byDigest.set(digest, client);
  }

  return (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const key = request.headers['x-api-key'] as string | undefined;
    // Undefined, not falsy: an empty key is a wrong key.
    const client = key === undefined ? ANONYMOUS : lookUp(byDigest, key);
    if (!client) throw challenge(reply, UNKNOWN_KEY);
    request.client = client;
    done();
  };
}

/** Gate: refuses callers without a key on protected routes. */
export function refuseAnonymous(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  if (request.route?.access === 'protected' && request.client?.class !== 'identified') {
    throw challenge(reply, KEY_REQUIRED);
  }
  done();
}

function lookUp(byDigest: Map<string, Client>, key: string): Client | undefined {
  // Node joins repeated fields with a comma. No key holds one, so 'a, b' is a field sent twice, never a key.
  if (key.includes(',')) return undefined;
  // Node reads header bytes as latin1: written back the same way, they are the bytes the client sent.
  return byDigest.get(hash('sha256', Buffer.from(key, 'latin1'), 'hex'));
}

function challenge(reply: FastifyReply, problem: Problem): Problem {
  reply.header('www-authenticate', 'ApiKey realm="gateway"');
  return problem;
}
