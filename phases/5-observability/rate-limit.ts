import { isIP, isIPv4 } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import ipaddr from 'ipaddr.js';
import * as z from 'zod';
import type { Client } from './identify.ts';
import type { Metrics } from './metrics.ts';
import { Problem } from './problem.ts';
import type { FixedWindows } from './redis.ts';

const policySchema = z.strictObject({
  limit: z.int().positive(),
  windowMs: z.int().positive(),
});

/** The limits of the config, and what becomes of requests while Redis does not answer. */
export const rateLimitSchema = z.strictObject({
  identified: policySchema,
  anonymous: policySchema,
  whenRedisFails: z.enum(['allow', 'reject']),
});

type RateLimitConfig = z.infer<typeof rateLimitSchema>;

/** The proxies whose X-Forwarded-* fields are believed: addresses and networks. A count of hops is forgeable. */
export const trustedProxiesSchema = z.array(
  z.string().refine(isNetwork, 'must be an IP address or a network such as 10.0.0.0/8'),
);

const RATE_LIMITED = new Problem(
  'limit',
  429,
  'rate-limited',
  'Too many requests',
  'The limit of this window is used up. Retry-After tells when the next window begins.',
);

const UNAVAILABLE = new Problem(
  'limit',
  503,
  'rate-limit-unavailable',
  'Rate limit unavailable',
  'Requests cannot be counted at the moment, and uncounted ones are not served. Try again shortly.',
);

// Redis is asked again within this time, so there is no point in waiting longer.
const UNAVAILABLE_RETRY_SECONDS = 1;

/**
 * Gate: lets `limit` requests of a bucket pass in each window, over all routes and all gateways that share
 * the Redis. The answer says what is left, in the fields of draft-ietf-httpapi-ratelimit-headers.
 */
export function rateLimit(config: RateLimitConfig, windows: FixedWindows, metrics: Metrics) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const client = request.client as Client;
    const { limit, windowMs } = config[client.class];
    const window = await windows.count(bucketOf(client, request), windowMs);
    if (window === null) {
      metrics.decided(client, config.whenRedisFails === 'allow' ? 'degraded_allowed' : 'degraded_rejected');
      if (config.whenRedisFails === 'allow') return;
      reply.header('retry-after', UNAVAILABLE_RETRY_SECONDS);
      throw UNAVAILABLE;
    }

    metrics.decided(client, window.count > limit ? 'limited' : 'allowed');
    const seconds = Math.max(1, Math.ceil(window.leftMs / 1000));
    const remaining = Math.max(0, limit - window.count);
    reply.header('ratelimit-policy', `"${client.class}";q=${limit};w=${Math.ceil(windowMs / 1000)}`);
    reply.header('ratelimit', `"${client.class}";r=${remaining};t=${seconds}`);
    if (window.count > limit) {
      reply.header('retry-after', seconds);
      throw RATE_LIMITED;
    }
  };
}

// The braces are a hash tag: whatever else the name holds, one bucket lies on one node of a Redis Cluster.
function bucketOf(client: Client, request: FastifyRequest): string {
  if (client.class === 'identified') return `gateway:{client:${client.id}}`;
  // What a trusted proxy forwards need not be an address; then the bucket is the proxy's own.
  const address = isIP(request.ip) ? request.ip : String(request.raw.socket?.remoteAddress);
  return `gateway:{address:${network(address)}}`;
}

/** An IPv4 address stands for itself. An IPv6 customer owns a /64, with a new address for every request. */
function network(address: string): string {
  if (isIP(address) !== 6) return address;
  const [plain = ''] = address.split('%'); // fe80::1%eth0.100: ipaddr.js does not know every zone
  const ip = ipaddr.process(plain); // unwraps ::ffff:192.0.2.1, in any spelling
  if (!(ip instanceof ipaddr.IPv6)) return ip.toString();
  const prefix = ip.parts.slice(0, 4).map((part) => part.toString(16));
  return `${prefix.join(':')}::/64`;
}

function isNetwork(text: string): boolean {
  const [address = '', bits = '1', ...rest] = text.split('/');
  const longest = isIPv4(address) ? 32 : 128;
  // A /0 would believe every client: that is no list of proxies.
  return (
    isIP(address) > 0 &&
    !address.includes('%') &&
    rest.length === 0 &&
    /^[1-9]\d*$/.test(bits) &&
    Number(bits) <= longest
  );
}
