import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { type Dispatcher, errors } from 'undici';
import * as z from 'zod';
import { CLIENT_LEFT } from './forward.ts';
import { Problem } from './problem.ts';

/** When a circuit opens, and for how long it stays open. */
export const circuitBreakerSchema = z.strictObject({
  failureThreshold: z.int().positive(),
  cooldownMs: z.int().positive(),
});

type CircuitBreakerConfig = z.infer<typeof circuitBreakerSchema>;

// Node runs a longer timer at once.
const MAX_TIMER_MS = 2 ** 31 - 1;

const CIRCUIT_OPEN = new Problem(
  'circuit',
  503,
  'circuit-open',
  'Circuit open',
  'The service has failed repeatedly and is left alone for a while. Retry-After tells when it is called again.',
);

/**
 * The circuit of one service, in the memory of this process: the time until it closes, and an undici
 * interceptor that judges every call. `failureThreshold` failures in a row open it; `cooldownMs` later
 * it is closed again, for everybody at once. `now` is a monotonic clock in ms.
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
  // Counts the openings. A call that began before the last one tells nothing about the service of today.
  let generation = 0;

  /** Ms until the circuit closes, 0 when it is closed. By the clock: a timer could fire late, or never. */
  function cooldownLeft(): number {
    if (openedAt === null) return 0;
    const left = openedAt + cooldownMs - now();
    if (left > 0) return left;
    openedAt = null;
    log.info({ service }, 'circuit closed');
    return 0;
  }

  function judge(failed: boolean, begunIn: number): void {
    if (begunIn !== generation) return;
    failures = failed ? failures + 1 : 0;
    if (failures < failureThreshold) return;
    failures = 0;
    generation += 1;
    openedAt = now();
    // Only to say so at the time: who asks earlier or later goes by the clock.
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
      return (options, handler) => dispatch(options, new Witness(handler, judge, generation));
    },
  };
}

export type Circuit = ReturnType<typeof circuitBreaker>;

/** Gate: refuses while the circuit of the service is open. `circuits` is by name of service. */
export function refuseWhileOpen(circuits: Map<string, Circuit>) {
  return (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const left = circuits.get(request.route?.service as string)?.cooldownLeft() ?? 0;
    if (left > 0) {
      reply.header('retry-after', Math.max(1, Math.ceil(left / 1000)));
      throw CIRCUIT_OPEN;
    }
    done();
  };
}

/** Stands between undici and the handler of one call, and judges the call when it has ended, not before. */
class Witness implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #judge: (failed: boolean, begunIn: number) => void;
  readonly #begunIn: number;
  #status = 0;

  constructor(
    handler: Dispatcher.DispatchHandler,
    judge: (failed: boolean, begunIn: number) => void,
    begunIn: number,
  ) {
    this.#handler = handler;
    this.#judge = judge;
    this.#begunIn = begunIn;
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#handler.onRequestStart?.(controller, context);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    statusMessage?: string,
  ): void {
    this.#status = status;
    this.#handler.onResponseStart?.(controller, status, headers, statusMessage);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#handler.onResponseData?.(controller, chunk);
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    this.#judge(this.#status >= 500, this.#begunIn);
    this.#handler.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#status === 204 || this.#status === 304) {
      // A whole answer: undici takes a Content-Length on these for the promise of a body.
      this.#judge(false, this.#begunIn);
    } else if (error !== CLIENT_LEFT && !(error instanceof errors.InvalidArgumentError)) {
      // These two are the client's doing: it went away, or sent what undici will not send.
      this.#judge(true, this.#begunIn);
    }
    this.#handler.onResponseError?.(controller, error);
  }
}
