import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import { bodyFor, type Problem } from './problem.ts';
import { type Trace, traceOf } from './trace-context.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** When what happened. Null only for the health check, which nobody observes. */
    times: Times | null;
    trace: Trace | null;
    /** Bytes of the answer's body so far, before any framing. */
    bytesOut: number;
  }
}

const TIMED_STAGES = ['route', 'identify', 'limit', 'circuit'];

// nginx's number for a client that left before its answer was complete. It is logged, never sent.
const CLIENT_LEFT = 499;

/** All there is to tell about a request once it is over. */
export interface Exchange {
  readonly id: string;
  readonly traceId: string | null;
  readonly method: string | null;
  /** The target as it came. In its query secrets travel. */
  readonly url: string | null;
  /** Prefix of the route, or null. */
  readonly route: string | null;
  readonly service: string | null;
  /** Id of the client, or null while nobody knows. */
  readonly client: string | null;
  readonly status: number;
  /** Whose status that is. */
  readonly source: 'gateway' | 'upstream';
  readonly problem: Problem | null;
  /** Ms from the header of the request to the last byte of the answer. */
  readonly durationMs: number;
  /** Ms from the call of the service to the end of its answer. Null when it was not called. */
  readonly upstreamMs: number | null;
  /** Whether the answer of the service arrived as a whole. */
  readonly complete: boolean;
  readonly bytesOut: number;
}

/** What wants to know of requests. */
export interface Observer {
  begin?(): void;
  end(exchange: Exchange): void;
}

/** The times of one request, in ms since its header was read. */
export class Times {
  calledMs: number | null = null;
  answeredMs: number | null = null;
  completedMs: number | null = null;
  readonly #now: () => number;
  readonly #begun: number;
  /** What each stage took, or null when nobody wants to know. */
  readonly #laps: string[] | null;
  #lapMs = 0;

  constructor(now: () => number, withLaps: boolean) {
    this.#now = now;
    this.#begun = now();
    this.#laps = withLaps ? [] : null;
  }

  get elapsedMs(): number {
    return this.#now() - this.#begun;
  }

  /** The service is called. */
  called(): void {
    this.calledMs = this.elapsedMs;
  }

  /** The header fields of its answer are there. */
  answered(): void {
    this.answeredMs = this.elapsedMs;
  }

  /** The whole answer is there. */
  completed(): void {
    this.completedMs = this.elapsedMs;
  }

  /** Notes the time that a stage took: since the last lap, or the beginning. */
  lap(stage: string): void {
    const elapsed = this.elapsedMs;
    this.#laps?.push(`${stage};dur=${(elapsed - this.#lapMs).toFixed(3)}`);
    this.#lapMs = elapsed;
  }

  /** The Server-Timing field (W3C Server Timing) at this moment, or null when nobody wants it. */
  serverTiming(refusedBy = ''): string | null {
    if (this.#laps === null) return null;
    const stage = refusedBy === 'access' ? 'identify' : refusedBy;
    if (this.calledMs !== null) this.lap('upstream');
    else if (TIMED_STAGES.includes(stage)) this.lap(stage);
    return [...this.#laps, `total;dur=${this.elapsedMs.toFixed(3)}`].join(', ');
  }
}

// Unlike that of any other process; the number behind it is unlike that of any other request.
const ID_PREFIX = randomUUID().replaceAll('-', '').slice(16);
let ids = 0;

/** An id for a request. */
export function newId(): string {
  ids += 1;
  return `${ID_PREFIX}-${ids}`;
}

/** The X-Request-Id of the client if it is one plain word, else a new one. */
export function requestId({ headers }: IncomingMessage): string {
  const id = headers['x-request-id'] as string | undefined;
  // Node joins repeated fields with a comma, which is no character of an id.
  return id !== undefined && /^[\w.-]{1,128}$/.test(id) ? id : newId();
}

/** Hook: follows a request from here to its end, and tells the observers what became of it. */
export function observe(observers: Observer[], now: () => number, withLaps: boolean): onRequestHookHandler {
  return (request, reply, done) => {
    const times = new Times(now, withLaps);
    request.times = times;
    request.trace = traceOf(request.headers);
    reply.header('x-request-id', request.id);
    for (const observer of observers) observer.begin?.();
    // Not onResponse: Fastify does not call it when the client leaves early.
    reply.raw.once('close', () => {
      const exchange = exchangeOf(request, reply, times);
      for (const observer of observers) observer.end(exchange);
    });
    done();
  };
}

function exchangeOf(request: FastifyRequest, { raw }: FastifyReply, times: Times): Exchange {
  const { problem, route } = request;
  const durationMs = times.elapsedMs;
  const answered = raw.writableFinished || problem !== null;
  // undici may find a request malformed before it has sent anything.
  const calledMs = problem?.stage === 'parse' ? null : times.calledMs;
  return {
    id: request.id,
    traceId: request.trace?.id ?? null,
    method: request.method,
    url: request.url,
    route: route?.prefix ?? null,
    service: route?.service ?? null,
    client: request.client?.id ?? null,
    status: answered ? raw.statusCode : CLIENT_LEFT,
    source: answered && times.answeredMs !== null ? 'upstream' : 'gateway',
    problem,
    durationMs,
    upstreamMs: calledMs === null ? null : (times.completedMs ?? durationMs) - calledMs,
    complete: times.completedMs !== null,
    bytesOut: request.bytesOut,
  };
}

/** What there is to tell about a request that Node's parser refused: nothing else of it is known. */
export function unparsedExchange(problem: Problem, id: string): Exchange {
  return {
    id,
    traceId: null,
    method: null,
    url: null,
    route: null,
    service: null,
    client: null,
    status: problem.status,
    source: 'gateway',
    problem,
    durationMs: 0,
    upstreamMs: null,
    complete: false,
    bytesOut: Buffer.byteLength(bodyFor(problem, id)),
  };
}

/** Takes the times of stages for Server-Timing: `lap('route')` stands behind the gates of that stage. */
export function laps(pipeline: FastifyInstance, wanted: boolean): (stage: string) => void {
  return (stage) => {
    if (!wanted) return;
    pipeline.addHook('onRequest', (request, _reply, done) => {
      request.times?.lap(stage);
      done();
    });
  };
}
