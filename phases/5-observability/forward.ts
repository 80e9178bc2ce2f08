import type { IncomingHttpHeaders } from 'node:http';
import { PassThrough } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Dispatcher, errors, Pool } from 'undici';
import * as z from 'zod';
import { connectWithin } from './connect.ts';
import { answerHeaders, requestHeaders } from './headers.ts';
import { BAD_REQUEST, Problem, sendProblem } from './problem.ts';
import { isChunkedAtMost } from './well-formed.ts';

/** One service of the config. `timeoutMs`: from the complete request to the headers of the answer. */
const serviceSchema = z.strictObject({
  url: z.string().refine((url) => {
    if (!URL.canParse(url)) return false;
    const { protocol, username, password, search, hash } = new URL(url);
    return /^https?:$/.test(protocol) && username + password + search + hash === '';
  }, 'must be an http:// or https:// URL without user name, query or fragment'),
  timeoutMs: z.int().positive().max(86_400_000), // a day; beyond 24 of them setTimeout fires at once
});

const nameSchema = z
  .string()
  .regex(/^[\w.-]{1,64}$/, 'a name is 1 to 64 letters, digits, dots, dashes or underscores');

/** The services of the config, by name. */
export const servicesSchema = z.record(nameSchema, serviceSchema);

export type Service = z.infer<typeof serviceSchema>;

// Silence of the service inside a body for this long counts as cut short. Event streams may be quiet.
const SILENCE_MS = 300_000;

const UNREACHABLE = new Problem(
  'forward',
  502,
  'upstream-unreachable',
  'Service unreachable',
  'No connection to the service could be made. Nothing was sent.',
);

const RESET = new Problem(
  'forward',
  502,
  'upstream-reset',
  'Service broke off',
  'The service closed the connection without an answer. Whether it acted on the request is unknown.',
);

const INVALID = new Problem(
  'forward',
  502,
  'upstream-invalid',
  'Service answered garbage',
  'The answer of the service is not valid HTTP, or its headers exceed 16 KiB.',
);

const TIMEOUT = new Problem(
  'forward',
  504,
  'upstream-timeout',
  'Service timed out',
  'The service did not answer in time. Whether it acted on the request is unknown.',
);

/** Ends a call whose client has gone. The service is not to blame. */
export const CLIENT_LEFT = new Error('the client left');

const ANSWERED = new Error('the client has its answer');

/** Keeps the connections to one service. Node's defaults verify TLS certificates. */
export function openPool(service: Service): Pool {
  return new Pool(new URL(service.url).origin, {
    connect: connectWithin(service.timeoutMs),
    headersTimeout: 0, // Call keeps the time itself: this timer ticks in steps of half a second
    bodyTimeout: SILENCE_MS,
  });
}

/** Where the calls to one service go, and how long each may take. */
export interface Upstream {
  dispatcher: Dispatcher;
  timeoutMs: number;
}

/** Handler: sends the request to its service, once, and streams the answer back. Never retries. */
export function forward(upstreams: Map<string, Upstream>) {
  return (request: FastifyRequest, reply: FastifyReply): void => {
    reply.hijack();
    if (reply.raw.destroyed) return; // the client left while an earlier stage waited
    const { dispatcher, timeoutMs } = upstreams.get(request.route?.service as string) as Upstream;
    request.times?.called();
    const call = new Call(request, reply, timeoutMs);
    dispatcher.dispatch(
      {
        path: request.target,
        method: request.raw.method as Dispatcher.HttpMethod,
        headers: requestHeaders(request),
        body: call.body,
      },
      call,
    );
  };
}

/** One call to a service: undici reports what happens upstream, and this tells the client. */
class Call implements Dispatcher.DispatchHandler {
  /** The request body on its way to the service, or null. */
  readonly body: PassThrough | null = null;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #timer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | null = null;
  /** Bytes the client had sent when the time was last up. */
  #received = 0;
  #bodyBegun = false;
  /** Set once the client has its answer or is gone, whatever undici reports after that. */
  #over: Error | null = null;

  constructor(request: FastifyRequest, reply: FastifyReply, timeoutMs: number) {
    this.#request = request;
    this.#reply = reply;
    this.#timer = setTimeout(() => this.#late(), timeoutMs);
    reply.raw.once('close', () => this.#close());
    const { raw } = request;
    if (raw.headers['transfer-encoding'] !== undefined || (raw.headers['content-length'] ?? '0') !== '0') {
      // A stream of its own, because undici destroys the body of a call that ends early. A destroyed request is
      // never read to its end, and blocks its connection. This one is: the rest is thrown away.
      this.body = raw.pipe(new PassThrough());
      this.body.once('end', () => this.#timer.refresh());
      this.body.once('close', () => raw.resume());
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(this.#over);
    // The client waits for this word before it uploads (RFC 9110 10.1.1). HTTP/1.0 does not know it.
    else if (this.#request.headers.expect && this.#request.raw.httpVersion === '1.1')
      this.#reply.raw.writeContinue();
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    if (status >= 100 && status < 200) return;
    if (status < 100 || status > 599 || !isChunkedAtMost(headers)) {
      controller.abort(INVALID);
      return;
    }
    clearTimeout(this.#timer);
    this.#request.times?.answered();
    const { raw } = this.#reply;
    raw.writeHead(status, answerHeaders(headers, this.#reply));
    if (status === 204 || status === 304) {
      // Complete without a body. undici takes a Content-Length here for a promise, and fails the call next.
      this.#over = ANSWERED;
      this.#request.times?.completed();
      raw.end();
    } else {
      // A body usually comes in the same packet and takes the headers along. An event stream may not.
      process.nextTick(() => {
        if (!this.#bodyBegun && !this.#over) raw.flushHeaders();
      });
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bodyBegun = true;
    this.#request.bytesOut += chunk.length;
    const { raw } = this.#reply;
    if (!raw.write(chunk)) {
      controller.pause();
      raw.once('drain', () => controller.resume());
    }
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.#over = ANSWERED;
    this.#request.times?.completed();
    this.#reply.raw.end();
  }

  onResponseError(_controller: unknown, error: Error): void {
    clearTimeout(this.#timer);
    this.body?.destroy(); // undici leaves it alone when it found no connection
    if (this.#over) return;
    this.#over = error;
    const { raw } = this.#reply;
    if (raw.headersSent) {
      // A clean end would pass half an answer off as a whole one.
      this.#request.problem = RESET;
      raw.destroy();
    } else {
      sendProblem(this.#reply, problemOf(error, this.#controller !== null));
    }
  }

  /** The client has its answer, or has gone: then the service need not go on. */
  #close(): void {
    clearTimeout(this.#timer);
    if (this.#over) return;
    this.#over = CLIENT_LEFT;
    this.#controller?.abort(CLIENT_LEFT);
  }

  /** The time is up without an answer. But an upload that is under way may take longer. */
  #late(): void {
    if (this.body && this.#isUploading(this.body)) {
      this.#timer.refresh();
    } else if (this.#controller) {
      this.#controller.abort(TIMEOUT);
    } else {
      this.onResponseError(null, TIMEOUT);
    }
  }

  /** The service waits for the client (the body flows and has not ended), or has read on since last time. */
  #isUploading(body: PassThrough): boolean {
    const received = this.#request.socket.bytesRead;
    const progress = received > this.#received;
    this.#received = received;
    return body.readableFlowing !== null && !body.readableEnded && (body.readableFlowing || progress);
  }
}

function problemOf(error: Error & { code?: string }, connected: boolean): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof errors.ConnectTimeoutError) return TIMEOUT;
  if (error instanceof errors.InvalidArgumentError) return BAD_REQUEST;
  if (!connected) return UNREACHABLE;
  if (
    error instanceof errors.HTTPParserError ||
    error instanceof errors.HeadersOverflowError ||
    error instanceof errors.ResponseContentLengthMismatchError || // two lengths that differ
    error.message.startsWith('bad ') || // undici: an answer or an upgrade nobody asked for
    error.code === 'ERR_INVALID_CHAR' // Node: a header value that must not be written
  ) {
    return INVALID;
  }
  return RESET;
}
