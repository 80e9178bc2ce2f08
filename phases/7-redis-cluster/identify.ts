import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { Problem } from './problem.ts';

/** The client of a request, for later stages. Its id is never sent to clients or services. */
export interface Client {
  readonly id: string;
  readonly class: 'identified' | 'anonymous';
}

/** One client of the config. It may have several keys, so that a new key works before the old one is removed. */
const clientSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[\w.-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, dashes or underscores')
    .refine((id) => id !== 'anonymous', 'is reserved for clients without a key'),
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
    const places = new Map<string, string>();
    const firstPlace = (value: string, place: string): string | undefined => {
      const first = places.get(value);
      if (first === undefined) places.set(value, place);
      return first;
    };
    for (const [i, client] of clients.entries()) {
      const { id, keySha256 } = (client ?? {}) as Partial<ClientConfig>;
      const other = typeof id === 'string' && firstPlace(`id ${id}`, `clients[${i}]`);
      if (other) {
        const message = `${other} has the id ${JSON.stringify(id)} too`;
        context.addIssue({ code: 'custom', path: [i, 'id'], message });
      }
      for (const [k, digest] of (Array.isArray(keySha256) ? keySha256 : []).entries()) {
        // The digest is not repeated, because it may be the key itself.
        const place = `clients[${i}].keySha256[${k}]`;
        const first = typeof digest === 'string' && firstPlace(`digest ${digest}`, place);
        const path = [i, 'keySha256', k];
        if (first) context.addIssue({ code: 'custom', path, message: `is also ${first}` });
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
 * Gate: identifies the client, or refuses an unknown key. It does so on public routes, too, so that a client with a
 * wrong key learns of it. No other stage reads the key.
 */
export function identify(clients: ClientConfig[]) {
  // By digest, because the time of a lookup then reveals nothing about a key. A Map, because `__proto__` is not in it.
  const byDigest = new Map<string, Client>();
  for (const { id, keySha256 } of clients) {
    const client: Client = { id, class: 'identified' };
    for (const digest of keySha256) byDigest.set(digest, client);
  }

  return (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const key = request.headers['x-api-key'] as string | undefined;
    // Only undefined means no key. An empty key is a wrong key.
    const client = key === undefined ? ANONYMOUS : lookUp(byDigest, key);
    if (!client) throw challenge(reply, UNKNOWN_KEY);
    request.exchange.client = client;
    done();
  };
}

/** Gate: refuses clients without a key on protected routes. */
export function refuseAnonymous(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const { route, client } = request.exchange;
  if (route?.access === 'protected' && client?.class !== 'identified') {
    throw challenge(reply, KEY_REQUIRED);
  }
  done();
}

function lookUp(byDigest: Map<string, Client>, key: string): Client | undefined {
  // Node joins repeated fields with a comma. A key has none, so 'a, b' is a field sent twice.
  if (key.includes(',')) return undefined;
  // Node decodes header bytes as latin1. Encoded the same way they are the bytes that the client sent.
  return byDigest.get(hash('sha256', Buffer.from(key, 'latin1'), 'hex'));
}

function challenge(reply: FastifyReply, problem: Problem): Problem {
  reply.header('www-authenticate', 'ApiKey realm="gateway"');
  return problem;
}
