import { isIP, isIPv4 } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import ipaddr from 'ipaddr.js';
import * as z from 'zod';
import type { Windows } from './fixed-window.ts';
import type { Client } from './identify.ts';
import { Problem } from './problem.ts';

const policySchema = z.strictObject({
  limit: z.int().positive(),
  windowMs: z.int().positive(),
});

/** The limits of the config, and whether requests are served while Redis is down. */
export const rateLimitSchema = z.strictObject({
  identified: policySchema,
  anonymous: policySchema,
  whenRedisFails: z.enum(['allow', 'reject']),
});

type RateLimitConfig = z.infer<typeof rateLimitSchema>;

/** The proxies whose X-Forwarded-* fields are trusted, as addresses and networks. A number of hops is not accepted: a client could forge it. */
export const trustedProxiesSchema = z.array(
  z.string().refine(isNetwork, 'must be an IP address or a network such as 10.0.0.0/8'),
);

/** What the limiter decided about a request. Degraded: it could not be counted. */
export type Decision = 'allowed' | 'limited' | 'degraded_allowed' | 'degraded_rejected';

const RATE_LIMITED = new Problem(
  'limit',
  429,
  'rate-limited',
  'Too many requests',
  'The limit of this window is used up. Retry-After is the time until the next window.',
);

const UNAVAILABLE = new Problem(
  'limit',
  503,
  'rate-limit-unavailable',
  'Rate limit unavailable',
  'Requests cannot be counted at the moment, and uncounted requests are not served. Try again shortly.',
);

// Enough, because FixedWindows probes Redis every 250 ms.
const UNAVAILABLE_RETRY_SECONDS = 1;

/**
 * Gate: lets `limit` requests of a bucket pass in each window, over all routes and all gateways that share a Redis.
 * The response says what is left, in the fields of draft-ietf-httpapi-ratelimit-headers.
 */
export function rateLimit(config: RateLimitConfig, windows: Windows) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { exchange } = request;
    const client = exchange.client as Client;
    const { limit, windowMs } = config[client.class];
    const window = await windows.count(bucketOf(client, request), windowMs);
    if (window === null) {
      exchange.decision = config.whenRedisFails === 'allow' ? 'degraded_allowed' : 'degraded_rejected';
      if (exchange.decision === 'degraded_allowed') return;
      reply.header('retry-after', UNAVAILABLE_RETRY_SECONDS);
      throw UNAVAILABLE;
    }

    exchange.decision = window.count > limit ? 'limited' : 'allowed';
    const seconds = Math.max(1, Math.ceil(window.leftMs / 1000));
    const remaining = Math.max(0, limit - window.count);
    reply.header('ratelimit-policy', `"${client.class}";q=${limit};w=${Math.ceil(windowMs / 1000)}`);
    reply.header('ratelimit', `"${client.class}";r=${remaining};t=${seconds}`);
    if (exchange.decision === 'limited') {
      reply.header('retry-after', seconds);
      throw RATE_LIMITED;
    }
  };
}

// The braces are a hash tag: a Redis Cluster chooses the node of a key by the text inside.
function bucketOf(client: Client, request: FastifyRequest): string {
  if (client.class === 'identified') return `gateway:{client:${client.id}}`;
  // A trusted proxy may forward something that is not an address. Then the request counts in the bucket of the proxy.
  const address = isIP(request.ip) ? request.ip : String(request.raw.socket.remoteAddress);
  return `gateway:{address:${network(address)}}`;
}

/** The part of an address that one customer has. IPv6 customers get a /64 and can use a new address for every request. */
function network(address: string): string {
  if (isIP(address) !== 6) return address;
  const [plain = ''] = address.split('%'); // ipaddr.js does not parse every zone, such as fe80::1%eth0.100
  const ip = ipaddr.process(plain); // unwraps ::ffff:192.0.2.1, in any spelling
  if (!(ip instanceof ipaddr.IPv6)) return ip.toString();
  const prefix = ip.parts.slice(0, 4).map((part) => part.toString(16));
  return `${prefix.join(':')}::/64`;
}

function isNetwork(text: string): boolean {
  const [address = '', bits = '1', ...rest] = text.split('/');
  const longest = isIPv4(address) ? 32 : 128;
  // A /0 would trust every client.
  return (
    isIP(address) > 0 &&
    !address.includes('%') &&
    rest.length === 0 &&
    /^[1-9]\d*$/.test(bits) &&
    Number(bits) <= longest
  );
}
