import type { Logger } from 'pino';
import { accessLog } from './access-log.ts';
import { buildAdmin } from './admin.ts';
import { type Circuit, circuitBreaker, refuseWhileOpen } from './circuit-breaker.ts';
import type { Config } from './config.ts';
import { openCounters, type RedisServers } from './counters.ts';
import { observe } from './exchange.ts';
import { forward } from './forward.ts';
import { createServer } from './http-server.ts';
import { identify, refuseAnonymous } from './identify.ts';
import { refuseLoops } from './loop.ts';
import { Metrics } from './metrics.ts';
import { rateLimit } from './rate-limit.ts';
import { refuseUnparsed } from './refuse-unparsed.ts';
import { findRoute, PROXIED_METHODS, refuseUnrouted } from './route.ts';
import { timedStages } from './server-timing.ts';
import { Tracing } from './tracing.ts';
import { senderBehind } from './trusted-proxies.ts';
import { openPool, type Upstream } from './upstream.ts';
import { wellFormed } from './well-formed.ts';

/** What the gateway needs from the process. `viaName`: see loop.ts. `now` is a monotonic clock in ms. */
export interface Dependencies {
  viaName: string;
  log: Logger;
  now: () => number;
  /** How long an idle connection of a client stays open. */
  keepAliveTimeoutMs: number;
  redis: RedisServers;
}

/** Builds the gateway, ready to listen. Read it from top to bottom to follow a request. */
export function buildGateway(config: Config, { viaName, log, now, keepAliveTimeoutMs, redis }: Dependencies) {
  const metrics = new Metrics(Object.keys(config.services));
  const tracing = new Tracing(config, log);
  const observers = [tracing, ...accessLog(log), metrics];
  const observed = observe(observers, now, senderBehind(config.trustedProxies));
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
  const circuits = new Map<string, Circuit>();
  for (const [name, service] of Object.entries(config.services)) {
    const pool = openPool(service);
    gateway.addHook('onClose', () => pool.destroy());
    const circuit = circuitBreaker(name, config.circuitBreaker, log, now);
    circuits.set(name, circuit);
    upstreams.set(name, { dispatcher: pool.compose(circuit.interceptor), timeoutMs: service.timeoutMs });
  }

  gateway.addHook('onClose', () => tracing.close());

  const windows = openCounters(redis, log);
  gateway.register(async (pipeline) => {
    const stage = timedStages(pipeline, config.serverTiming);
    pipeline.addHook('onRequest', observed);
    stage('parse', wellFormed);
    stage('loop', refuseLoops(viaName));
    stage('route', findRoute(config.routes, config.services));
    stage('identify', identify(config.clients));
    stage('access', refuseAnonymous);
    stage('limit', rateLimit(config.rateLimit, metrics.timed(windows, now)));
    stage('circuit', refuseWhileOpen(circuits));
    pipeline.route({ method: PROXIED_METHODS, url: '/*', handler: forward(upstreams, viaName) });
    pipeline.setNotFoundHandler(refuseUnrouted);
  });

  const needsRedis = config.rateLimit.whenRedisFails === 'reject';
  return { gateway, admin: buildAdmin({ log, gateway, metrics, circuits, windows, needsRedis }) };
}
