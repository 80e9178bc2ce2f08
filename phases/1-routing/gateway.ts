import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { accessLog } from './access-log.ts';
import type { Config } from './config.ts';
import { forward, openPool, type Upstream } from './forward.ts';
import { createServer } from './http-server.ts';
import { findRoute, PROXIED_METHODS, refuseUnrouted } from './route.ts';
import { wellFormed } from './well-formed.ts';

/** What the gateway takes from the world around it. `now` is a monotonic clock in ms. */
export interface World {
  log: Logger;
  now: () => number;
}

/** Builds the gateway, ready to listen. Read it top to bottom to follow a request. */
export function buildGateway(config: Config, { log, now }: World): FastifyInstance {
  const observe = accessLog(log, now);
  const timeouts = Object.values(config.services).map((service) => service.timeoutMs);
  const gateway = createServer(log, observe, Math.max(...timeouts));
  gateway.get('/health', () => ({ status: 'ok' }));

  const upstreams = new Map<string, Upstream>();
  for (const [name, service] of Object.entries(config.services)) {
    const pool = openPool(service);
    gateway.addHook('onClose', () => pool.destroy());
    upstreams.set(name, { dispatcher: pool, timeoutMs: service.timeoutMs });
  }

  gateway.register(async (pipeline) => {
    pipeline.addHook('onRequest', observe);
    pipeline.addHook('onRequest', wellFormed);
    pipeline.addHook('onRequest', findRoute(config.routes, config.services));
    pipeline.route({ method: PROXIED_METHODS, url: '/*', handler: forward(upstreams) });
    pipeline.setNotFoundHandler(refuseUnrouted);
  });

  return gateway;
}
