import httpProxy from '@fastify/http-proxy';
import type { FastifyInstance } from 'fastify';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { accessLog } from './access-log.ts';
import { circuitBreaker } from './circuit-breaker.ts';
import type { Config } from './config.ts';
import { forward, openPool } from './forward.ts';
import { createServer } from './http-server.ts';
import { identify, refuseAnonymous } from './identify.ts';
import { rateLimit } from './rate-limit.ts';
import { FixedWindows } from './redis.ts';
import { proxyOptions, refuseUnrouted } from './route.ts';
import { wellFormed } from './well-formed.ts';

/** What the gateway takes from the world around it. `now` is a monotonic clock in ms. */
export interface World {
  log: Logger;
  now: () => number;
  redis: Redis;
}

/** Builds the gateway, ready to listen. Read it top to bottom to follow a request. */
export function buildGateway(config: Config, { log, now, redis }: World): FastifyInstance {
  const observe = accessLog(log, now);
  const timeouts = Object.values(config.services).map((service) => service.timeoutMs);
  const gateway = createServer(log, observe, Math.max(...timeouts), config.trustedProxies);
  gateway.get('/health', () => ({ status: 'ok' }));

  gateway.register(async (pipeline) => {
    pipeline.addHook('onRequest', observe);
    pipeline.addHook('onRequest', wellFormed);
    pipeline.setNotFoundHandler(refuseUnrouted);

    const whoIsCalling = identify(config.clients);
    const limit = rateLimit(config.rateLimit, new FixedWindows(redis, log));
    for (const [name, service] of Object.entries(config.services)) {
      const pool = openPool(service);
      pipeline.addHook('onClose', () => pool.destroy());
      const circuit = circuitBreaker(name, config.circuitBreaker, log, now);
      const handler = forward(pool.compose(circuit.interceptor), service);

      for (const route of config.routes.filter((candidate) => candidate.service === name)) {
        pipeline.register(async (stages) => {
          stages.addHook('onRequest', whoIsCalling);
          if (route.access === 'protected') stages.addHook('onRequest', refuseAnonymous);
          stages.addHook('onRequest', limit);
          stages.addHook('onRequest', circuit.gate);
          stages.register(httpProxy, proxyOptions(route, service.url, handler));
        });
      }
    }
  });

  return gateway;
}
