import type { FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { Client } from './identify.ts';
import { Problem } from './problem.ts';

const policySchema = z.strictObject({
  limit: z.int().positive(),
  windowMs: z.int().positive(),
});

// Keys in Redis begin with it. Environments that share a Redis need different ones.
const keyPrefixSchema = z
  .string()
  .regex(/^[\w.:-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, dashes, underscores or colons')
  .default('gateway');

/** The limits of the config, and whether requests are served while Redis is down. */
export const rateLimitSchema = z.strictObject({
  keyPrefix: keyPrefixSchema,
  identified: policySchema,
  anonymous: policySchema,
  whenRedisFails: z.enum(['allow', 'reject']),
});

/** REDIS_URL: where the requests are counted. */
export const redisUrlSchema = z
  .url({ protocol: /^rediss?$/, error: 'must be a redis:// or rediss:// URL', abort: true })
  .regex(/^\w+:\/\/[^/?#]+(\/\d*)?$/, 'must end with the host, or with the number of a database');

type RateLimitConfig = Omit<z.infer<typeof rateLimitSchema>, 'keyPrefix'>;

/** One count: the requests in the window so far, this one included, and the ms until the window ends. */
export interface WindowCount {
  readonly count: number;
  readonly leftMs: number;
}

/** Counts requests per bucket. */
export interface Windows {
  /** Counts one request. Null: it could not be counted. */
  count(bucket: string, windowMs: number): Promise<WindowCount | null>;
}

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

// Short, because FixedWindows tries to reach Redis at least every 2 s.
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

// redis.ts puts the prefix in front. The braces are a hash tag: a Redis Cluster chooses the node of a key by the text inside.
function bucketOf(client: Client, request: FastifyRequest): string {
  if (client.class === 'identified') return `{client:${client.id}}`;
  return `{address:${request.exchange.sender.address}}`;
}
