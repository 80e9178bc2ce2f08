import Fastify, { type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { Counter, Gauge, Registry } from 'prom-client';
import type { Circuit } from './circuit-breaker.ts';
import type { Counters } from './counters.ts';
import type { Metrics } from './metrics.ts';
import { toProblem } from './problem.ts';
import { openMetrics } from './prometheus.ts';
import { refuseUnrouted } from './route.ts';

// What is running, as `gateway_build_info` shows it.
const BUILD = { version: '1.0.0', phase: '7-redis-cluster', node: process.version };

// Probes and scrapes are short and frequent.
const TIMEOUT_MS = 10_000;

/** What the admin listener reports. */
interface AdminOptions {
  log: Logger;
  gateway: FastifyInstance;
  metrics: Metrics;
  circuits: Map<string, Circuit>;
  windows: Counters;
  /** True when the gateway refuses all requests without Redis. */
  needsRedis: boolean;
}

/** A listener for operators. The public port has none of these paths except its own `/health`. */
export function buildAdmin(options: AdminOptions): FastifyInstance {
  const { log, gateway, metrics, circuits, windows, needsRedis } = options;
  addScrapeTimeMetrics(options);
  let draining = false;
  gateway.addHook('preClose', async () => {
    draining = true;
  });

  const admin = Fastify({
    connectionTimeout: TIMEOUT_MS,
    requestTimeout: TIMEOUT_MS,
    return503OnClosing: false,
  });
  // In a hook, because a handler runs after the body has been parsed.
  admin.addHook('onRequest', (request, _reply, done) => {
    if (request.is404) refuseUnrouted();
    done();
  });
  admin.setErrorHandler((error, _request, reply) => {
    const problem = toProblem(error, (bug) => log.error({ err: bug }, 'internal error'));
    return reply.code(problem.status).type('application/problem+json').send(JSON.stringify(problem));
  });

  admin.get('/metrics', async (request, reply) => {
    if (request.headers.accept?.includes('application/openmetrics-text')) {
      return reply.type(Registry.OPENMETRICS_CONTENT_TYPE).send(await openMetrics(metrics.registry));
    }
    return reply.type(Registry.PROMETHEUS_CONTENT_TYPE).send(await metrics.registry.metrics());
  });

  admin.get('/health', () => ({ status: 'ok' }));

  admin.get('/ready', async (_request, reply) => {
    const missing: string[] = [];
    if (draining) missing.push('draining');
    if (needsRedis && !(await windows.answers())) missing.push('redis');
    return reply
      .code(missing.length > 0 ? 503 : 200)
      .send({ ready: missing.length === 0, missing, ...(await windows.lostShards()) });
  });

  admin.get('/circuits', () => {
    const states = [...circuits].map(([service, circuit]) => [service, circuit.state()]);
    return Object.fromEntries(states);
  });
  return admin;
}

/** Adds the metrics that are read at each scrape, so that they are true without any traffic. */
function addScrapeTimeMetrics({ metrics, circuits, windows }: AdminOptions): void {
  const registers = [metrics.registry];
  new Gauge({
    name: 'gateway_build_info',
    help: 'Always 1. The labels name what is running.',
    labelNames: Object.keys(BUILD),
    registers,
  }).set(BUILD, 1);
  new Gauge({
    name: 'gateway_requests_in_flight',
    help: 'Requests whose response is not complete.',
    registers,
    collect() {
      this.set(metrics.inFlight);
    },
  });
  new Gauge({
    name: 'gateway_circuit_open',
    help: '1 while the circuit of the service is open.',
    labelNames: ['service'],
    registers,
    collect() {
      for (const [service, circuit] of circuits) this.set({ service }, circuit.cooldownLeft() > 0 ? 1 : 0);
    },
  });
  new Counter({
    name: 'gateway_circuit_openings_total',
    help: 'How often the circuit of the service has opened.',
    labelNames: ['service'],
    registers,
    collect() {
      this.reset();
      for (const [service, circuit] of circuits) this.inc({ service }, circuit.openings());
    },
  });
  new Gauge({
    name: 'gateway_redis_up',
    help: '1 when Redis answers in time.',
    labelNames: ['shard'],
    registers,
    async collect() {
      await windows.report(this);
    },
  });
}
