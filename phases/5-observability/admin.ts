import Fastify, { type FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import type { Circuit } from './circuit-breaker.ts';
import type { Metrics } from './metrics.ts';
import { toProblem } from './problem.ts';
import type { FixedWindows } from './redis.ts';
import { refuseUnrouted } from './route.ts';

// Whoever watches a gateway asks often and briefly.
const TIMEOUT_MS = 10_000;

/** What the admin listener tells about. */
export interface Watched {
  gateway: FastifyInstance;
  metrics: Metrics;
  circuits: Map<string, Circuit>;
  windows: FixedWindows;
  /** Whether a gateway without Redis is of no use. */
  needsRedis: boolean;
}

/** A listener of its own for those who run the gateway. Of this the public port has only a `/health` of its own. */
export function buildAdmin({ gateway, metrics, circuits, windows, needsRedis }: Watched): FastifyInstance {
  let draining = false;
  gateway.addHook('preClose', async () => {
    draining = true;
  });

  const admin = Fastify({
    connectionTimeout: TIMEOUT_MS,
    requestTimeout: TIMEOUT_MS,
    return503OnClosing: false,
  });
  // A hook, because a handler would come after the body has been parsed.
  admin.addHook('onRequest', (request, _reply, done) => {
    if (request.is404) refuseUnrouted();
    done();
  });
  admin.setErrorHandler((error, _request, reply) => {
    const problem = toProblem(error, () => {});
    return reply.code(problem.status).type('application/problem+json').send(problem.body);
  });

  admin.get('/metrics', async (request, reply) => {
    if (request.headers.accept?.includes('application/openmetrics-text')) {
      return reply.type(Registry.OPENMETRICS_CONTENT_TYPE).send(await metrics.openMetrics());
    }
    return reply.type(Registry.PROMETHEUS_CONTENT_TYPE).send(await metrics.text());
  });

  admin.get('/health', () => ({ status: 'ok' }));

  admin.get('/ready', async (_request, reply) => {
    const missing: string[] = [];
    if (draining) missing.push('draining');
    if (needsRedis && !(await windows.answers())) missing.push('redis');
    return reply.code(missing.length > 0 ? 503 : 200).send({ ready: missing.length === 0, missing });
  });

  admin.get('/circuits', () => {
    const states = [...circuits].map(([service, circuit]) => [service, circuit.state()]);
    return Object.fromEntries(states);
  });
  return admin;
}
