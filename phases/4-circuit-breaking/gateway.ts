import type { FastifyInstance } from 'fastify';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { accessLog } from './access-log.ts';
import { type Circuit, circuitBreaker, refuseWhileOpen } from './circuit-breaker.ts';
import type { Config } from './config.ts';
import { forward, openPool, type Upstream } from './forward.ts';
import { createServer } from './http-server.ts';
import { identify, refuseAnonymous } from './identify.ts';
import { rateLimit } from './rate-limit.ts';
import { FixedWindows } from './redis.ts';
import { findRoute, PROXIED_METHODS, refuseUnrouted } from './route.ts';
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

  const upstreams = new Map<string, Upstream>();
  const circuits = new Map<string, Circuit>();
  for (const [name, service] of Object.entries(config.services)) {
    const pool = openPool(service);
    gateway.addHook('onClose', () => pool.destroy());
    const circuit = circuitBreaker(name, config.circuitBreaker, log, now);
    circuits.set(name, circuit);
    upstreams.set(name, { dispatcher: pool.compose(circuit.interceptor), timeoutMs: service.timeoutMs });
  }

  gateway.register(async (pipeline) => {
    pipeline.addHook('onRequest', observe);
    pipeline.addHook('onRequest', wellFormed);
    pipeline.addHook('onRequest', findRoute(config.routes, config.services));
    pipeline.addHook('onRequest', identify(config.clients));
    pipeline.addHook('onRequest', refuseAnonymous);
    pipeline.addHook('onRequest', rateLimit(config.rateLimit, new FixedWindows(redis, log)));
    pipeline.addHook('onRequest', refuseWhileOpen(circuits));
    pipeline.route({ method: PROXIED_METHODS, url: '/*', handler: forward(upstreams) });
    pipeline.setNotFoundHandler(refuseUnrouted);
  });

  return gateway;
}
