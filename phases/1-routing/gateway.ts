import type { Logger } from 'pino';
import { accessLog } from './access-log.ts';
import { directSender } from './address.ts';
import type { Config } from './config.ts';
import { observe } from './exchange.ts';
import { forward } from './forward.ts';
import { createServer } from './http-server.ts';
import { refuseLoops } from './loop.ts';
import { refuseUnparsed } from './refuse-unparsed.ts';
import { findRoute, PROXIED_METHODS, refuseUnrouted } from './route.ts';
import { stages } from './stages.ts';
import { openPool, type Upstream } from './upstream.ts';
import { wellFormed } from './well-formed.ts';

/** What the gateway needs from the process. `viaName`: see loop.ts. `now` is a monotonic clock in ms. */
export interface Dependencies {
  viaName: string;
  log: Logger;
  now: () => number;
  /** How long an idle connection of a client stays open. */
  keepAliveTimeoutMs: number;
}

/** Builds the gateway, ready to listen. Read it from top to bottom to follow a request. */
export function buildGateway(config: Config, { viaName, log, now, keepAliveTimeoutMs }: Dependencies) {
  const observers = accessLog(log);
  const observed = observe(observers, now, directSender);
  const timeouts = Object.values(config.services).map((service) => service.timeoutMs);
  const gateway = createServer({
    log,
    observed,
    onClientError: refuseUnparsed(observers, now),
    longestTimeoutMs: Math.max(...timeouts),
    keepAliveTimeoutMs,
  });
  gateway.get('/health', () => ({ status: 'ok' }));

  const upstreams = new Map<string, Upstream>();
  for (const [name, service] of Object.entries(config.services)) {
    const pool = openPool(service);
    gateway.addHook('onClose', () => pool.destroy());
    upstreams.set(name, { dispatcher: pool, timeoutMs: service.timeoutMs });
  }

  gateway.register(async (pipeline) => {
    const stage = stages(pipeline);
    pipeline.addHook('onRequest', observed);
    stage('parse', wellFormed);
    stage('loop', refuseLoops(viaName));
    stage('route', findRoute(config.routes, config.services));
    pipeline.route({ method: PROXIED_METHODS, url: '/*', handler: forward(upstreams, viaName) });
    pipeline.setNotFoundHandler(refuseUnrouted);
  });

  return { gateway };
}
