import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyReply, onRequestHookHandler } from 'fastify';
import type { FindSender, Sender } from './address.ts';
import type { Client } from './identify.ts';
import type { Problem } from './problem.ts';
import type { Decision } from './rate-limit.ts';
import type { Route } from './route.ts';
import type { ServerTiming } from './server-timing.ts';
import type { Trace } from './trace-context.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the first hook of the pipeline. `/health` is outside the pipeline and has none. */
    exchange: Exchange;
  }
}

declare module 'node:http' {
  interface ServerResponse<Request extends IncomingMessage = IncomingMessage> {
    /** Set with the exchange, for errors of which Node only tells the connection. */
    reply?: FastifyReply;
  }
}

/** nginx's status for a client that closed the connection before its response was complete. It is logged, never sent. */
export const STATUS_CLIENT_CLOSED = 499;

/** Is called when an exchange begins and when it has ended. Only `begin` may change the exchange. */
export interface Observer {
  /** `headers`: those of the request, or null when Node's parser refused it. */
  begin?(exchange: Exchange, headers: IncomingHttpHeaders | null): void;
  end(exchange: Exchange): void;
}

/** The record of one request and its response, from the first header to the last byte. Stages store their results here. */
export class Exchange {
  /** The X-Request-Id of the request. */
  id = '';
  trace: Trace | null = null;
  /** Null unless the config asks for Server-Timing. */
  timing: ServerTiming | null = null;
  /** Null when Node's parser refused the request. */
  readonly method: string | null;
  /** The request target as received, or null. Its query may contain secrets. */
  readonly url: string | null;
  readonly sender: Sender;
  /** Null until the route stage has found one. */
  route: Route | null = null;
  /** Null until the identify stage has run. */
  client: Client | null = null;
  /** Null until the limit stage has run. */
  decision: Decision | null = null;
  /** Path and query for the service. */
  target = '';
  /** Why the gateway refused the request or cut the response, or null. */
  problem: Problem | null = null;
  /** What made the call to the service fail, or null. Its message may contain addresses. */
  failure: NodeJS.ErrnoException | null = null;
  /** The status the client received, or 499. Set when the exchange ends. */
  status = 0;
  /** Whether that status comes from the service or from the gateway. Set when the exchange ends. */
  source: 'gateway' | 'upstream' = 'gateway';
  /** Bytes of response body so far, without transfer coding. */
  bytesOut = 0;
  /** Ms from the request headers to the last byte of the response. Set when the exchange ends. */
  durationMs = 0;
  /** Ms from the request headers to the call of the service; null if it was not called. */
  calledMs: number | null = null;
  /** True when the service has sent its response headers. */
  answered = false;
  /** Ms from the request headers to the end of the service's response. */
  completedMs: number | null = null;
  readonly #now: () => number;
  readonly #startedAt: number;

  constructor(now: () => number, sender: Sender, method: string | null, url: string | null) {
    this.sender = sender;
    this.method = method;
    this.url = url;
    this.#now = now;
    this.#startedAt = now();
  }

  /** Ms since the request headers. */
  get elapsedMs(): number {
    return this.#now() - this.#startedAt;
  }

  /** Ms from the call of the service to the end of its response. Null if it was not called. */
  get upstreamMs(): number | null {
    if (this.calledMs === null) return null;
    return (this.completedMs ?? this.durationMs) - this.calledMs;
  }

  /** Notes the result once the response has been sent, or its connection is closed. */
  conclude({ writableFinished, statusCode }: ServerResponse): void {
    this.durationMs = this.elapsedMs;
    const hasStatus = writableFinished || this.problem !== null;
    this.status = hasStatus ? statusCode : STATUS_CLIENT_CLOSED;
    if (hasStatus && this.answered) this.source = 'upstream';
  }
}

/** First hook of the pipeline: begins the exchange of a request, and calls the observers when it has ended. `now` is in ms. */
export function observe(
  observers: Observer[],
  now: () => number,
  findSender: FindSender,
): onRequestHookHandler {
  return (request, reply, done) => {
    const exchange = new Exchange(now, findSender(request.raw), request.method, request.url);
    request.exchange = exchange;
    exchange.id = request.id;
    reply.header('x-request-id', request.id);
    reply.raw.reply = reply;
    if (observers.length > 0) follow(exchange, reply.raw, observers);
    done();
  };
}

function follow(exchange: Exchange, response: ServerResponse, observers: Observer[]): void {
  for (const observer of observers) observer.begin?.(exchange, response.req.headers);
  // Fastify does not call onResponse when the client leaves early. The 'close' event always comes, sometimes twice;
  // once() would cost more than this check.
  response.on('close', () => {
    if (exchange.status !== 0) return;
    exchange.conclude(response);
    for (const observer of observers) observer.end(exchange);
  });
}
