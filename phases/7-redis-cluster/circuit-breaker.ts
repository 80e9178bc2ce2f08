import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Dispatcher } from 'undici';
import * as z from 'zod';
import { JudgedHandler } from './judged-handler.ts';
import { Problem } from './problem.ts';
import type { Route } from './route.ts';

/** When a circuit opens, and for how long it stays open. */
export const circuitBreakerSchema = z.strictObject({
  failureThreshold: z.int().positive(),
  cooldownMs: z.int().positive(),
});

type CircuitBreakerConfig = z.infer<typeof circuitBreakerSchema>;

// setTimeout fires at once when the delay is longer than this.
const MAX_TIMER_MS = 2 ** 31 - 1;

const CIRCUIT_OPEN = new Problem(
  'circuit',
  503,
  'circuit-open',
  'Circuit open',
  'The service has failed repeatedly and is not called for a while. Retry-After is the time until it is called again.',
);

/**
 * The circuit of one service, in the memory of this process: the time until it closes, and an undici interceptor
 * that judges every call. `failureThreshold` failures in a row open it. `cooldownMs` later it is closed again, for
 * all clients at once. `now` is a monotonic clock in ms.
 */
export function circuitBreaker(
  service: string,
  config: CircuitBreakerConfig,
  log: Logger,
  now: () => number,
) {
  const { failureThreshold, cooldownMs } = config;
  let failures = 0;
  let openedAt: number | null = null;
  // The number of openings. The result of a call that began before the last one says nothing about the service now.
  let generation = 0;

  /** Ms until the circuit closes, 0 when it is closed. Decided by the clock, because a timer may fire late. */
  function cooldownLeft(): number {
    if (openedAt === null) return 0;
    const left = openedAt + cooldownMs - now();
    if (left > 0) return left;
    openedAt = null;
    log.info({ service }, 'circuit closed');
    return 0;
  }

  function judge(failed: boolean, callGeneration: number): void {
    if (callGeneration !== generation) return;
    failures = failed ? failures + 1 : 0;
    if (failures < failureThreshold) return;
    failures = 0;
    generation += 1;
    openedAt = now();
    // This timer only makes sure that the closing is logged when it happens.
    setTimeout(cooldownLeft, Math.min(cooldownMs + 1, MAX_TIMER_MS)).unref();
    log.warn({ service, cooldownMs }, 'circuit opened');
  }

  return {
    cooldownLeft,
    openings: () => generation,
    state: () => {
      const closesInMs = Math.ceil(cooldownLeft());
      return { state: closesInMs > 0 ? 'open' : 'closed', failuresInARow: failures, closesInMs };
    },

    interceptor(dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch {
      return (options, handler) => dispatch(options, new JudgedHandler(options, handler, judge, generation));
    },
  };
}

/** The circuit of one service. */
export type Circuit = ReturnType<typeof circuitBreaker>;

/** Gate: refuses while the circuit of the service is open. The keys of `circuits` are the names of the services. */
export function refuseWhileOpen(circuits: Map<string, Circuit>) {
  return (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const { service } = request.exchange.route as Route;
    const left = circuits.get(service)?.cooldownLeft() ?? 0;
    if (left > 0) {
      // Not before the next window of the rate limit, if this request was the last one of its window.
      reply.header('retry-after', Math.max(Math.ceil(left / 1000), secondsToNextWindow(reply)));
      throw CIRCUIT_OPEN;
    }
    done();
  };
}

/** Read from the RateLimit field that the limit stage has set. 0 while requests are left, or if none were counted. */
function secondsToNextWindow(reply: FastifyReply): number {
  return Number(/;r=0;t=(\d+)$/.exec(String(reply.getHeader('ratelimit')))?.[1] ?? 0);
}
