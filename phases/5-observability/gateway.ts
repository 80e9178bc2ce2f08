import type { FastifyInstance } from 'fastify';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { accessLog } from './access-log.ts';
import { buildAdmin } from './admin.ts';
import { type Circuit, circuitBreaker, refuseWhileOpen } from './circuit-breaker.ts';
import type { Config } from './config.ts';
import { forward, openPool, type Upstream } from './forward.ts';
import { createServer } from './http-server.ts';
import { identify, refuseAnonymous } from './identify.ts';
import { Metrics } from './metrics.ts';
import { laps, observe } from './observe.ts';
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

/** The two listeners: one for clients, one for those who run the gateway. */
export interface Listeners {
  gateway: FastifyInstance;
  admin: FastifyInstance;
}

/** Builds the gateway, ready to listen. Read it top to bottom to follow a request. */
export function buildGateway(config: Config, { log, now, redis }: World): Listeners {
  const metrics = new Metrics('5-observability');
  const observers = [accessLog(log), metrics];
  const observed = observe(observers, now, config.serverTiming);
  const timeouts = Object.values(config.services).map((service) => service.timeoutMs);
  const gateway = createServer(log, observed, Math.max(...timeouts), config.trustedProxies, observers);
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

  const windows = new FixedWindows(redis, log, metrics, now);
  gateway.register(async (pipeline) => {
    const lap = laps(pipeline, config.serverTiming);
    pipeline.addHook('onRequest', observed);
    pipeline.addHook('onRequest', wellFormed);
    pipeline.addHook('onRequest', findRoute(config.routes, config.services));
    lap('route');
    pipeline.addHook('onRequest', identify(config.clients));
    pipeline.addHook('onRequest', refuseAnonymous);
    lap('identify');
    pipeline.addHook('onRequest', rateLimit(config.rateLimit, windows, metrics));
    lap('limit');
    pipeline.addHook('onRequest', refuseWhileOpen(circuits));
    lap('circuit');
    pipeline.route({ method: PROXIED_METHODS, url: '/*', handler: forward(upstreams) });
    pipeline.setNotFoundHandler(refuseUnrouted);
  });

  metrics.watch(circuits, windows);
  const needsRedis = config.rateLimit.whenRedisFails === 'reject';
  return { gateway, admin: buildAdmin({ gateway, metrics, circuits, windows, needsRedis }) };
}
