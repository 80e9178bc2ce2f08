// The gateway of phase 2 with the limiter of phase 3, with another one, or with none. The difference is its cost.
import fastifyRateLimit from '@fastify/rate-limit';
import { Redis } from 'ioredis';
import pino from 'pino';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { readConfig } from '../../../phases/2-client-identity/config.ts';
import { buildGateway } from '../../../phases/2-client-identity/gateway.ts';
import { FixedWindows } from '../../../phases/3-rate-limiting/fixed-window.ts';
import { rateLimit } from '../../../phases/3-rate-limiting/rate-limit.ts';
import { connectRedis } from '../../../phases/3-rate-limiting/redis.ts';

const { PORT, GATEWAY_CONFIG, REDIS_URL, LIMITER } = process.env;
const unreachedLimit = 1e9;
const windowMs = 3_600_000;

/** Each counts one client and sends the remaining requests in response headers. Runs after the stages of the gateway. */
const limiters = {
  none: () => null,

  async phase() {
    const policy = { limit: unreachedLimit, windowMs };
    const windows = new FixedWindows(await connectRedis(REDIS_URL, 'gateway', log), log);
    return rateLimit({ identified: policy, anonymous: policy, whenRedisFails: 'reject' }, windows);
  },

  async fastify() {
    const redis = new Redis(REDIS_URL);
    const keyGenerator = () => 'bench';
    let limit;
    gateway
      .register(fastifyRateLimit, {
        global: false,
        max: unreachedLimit,
        timeWindow: windowMs,
        redis,
        keyGenerator,
      })
      .after(() => {
        limit = gateway.rateLimit();
      });
    return (request, reply) => limit(request, reply);
  },

  flexible() {
    const storeClient = new Redis(REDIS_URL);
    const counters = new RateLimiterRedis({ storeClient, points: unreachedLimit, duration: windowMs / 1000 });
    return async (_request, reply) => {
      const { remainingPoints, msBeforeNext } = await counters.consume('bench');
      reply.header('x-ratelimit-limit', unreachedLimit);
      reply.header('x-ratelimit-remaining', remainingPoints);
      reply.header('x-ratelimit-reset', Math.ceil(msBeforeNext / 1000));
    };
  },
};

const log = pino({ level: 'silent' });
const { gateway } = buildGateway(readConfig(GATEWAY_CONFIG), { log, now: () => performance.now() });
const limit = await limiters[LIMITER]();
if (limit) gateway.addHook('onRequest', limit);
await gateway.listen({ port: Number(PORT), host: '127.0.0.1' });
