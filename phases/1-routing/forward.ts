import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import type { Exchange } from './exchange.ts';
import { requestHeaders, responseHeaders } from './headers.ts';
import { sendProblem } from './problem.ts';
import type { Route } from './route.ts';
import { type Upload, uploadOf } from './upload.ts';
import { CLIENT_ABORT, INVALID, problemOf, RESET, TIMEOUT, type Upstream } from './upstream.ts';
import { hasOnlyChunkedCoding } from './well-formed.ts';

const RESPONSE_SENT = new Error('the response is complete');

/** Handler: sends the request to its service, once, and streams the response back. It never retries. */
export function forward(upstreams: Map<string, Upstream>) {
  return (request: FastifyRequest, reply: FastifyReply): void => {
    reply.hijack();
    const { route, target } = request.exchange;
    const { dispatcher, timeoutMs } = upstreams.get((route as Route).service) as Upstream;
    const call = new Call(request, reply, timeoutMs);
    const options = {
      path: target,
      method: request.raw.method as Dispatcher.HttpMethod,
      headers: requestHeaders(request),
      body: call.upload?.body ?? null,
    };
    // RFC 9112 9.2: bytes that arrive on an idle connection are not a response to the next request. undici looks for
    // them in a setImmediate; this one before it makes sure that the event loop reads the socket in between.
    setImmediate(() => dispatcher.dispatch(options, call));
  };
}

/** One call to a service: undici calls these methods, and they write the response to the client. */
class Call implements Dispatcher.DispatchHandler {
  readonly upload: Upload | null;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #exchange: Exchange;
  readonly #timer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | null = null;
  #bodyStarted = false;
  /** Why nothing more is written to the client, whatever undici reports later. Null while the response is open. */
  #finished: Error | null = null;

  constructor(request: FastifyRequest, reply: FastifyReply, timeoutMs: number) {
    this.#request = request;
    this.#reply = reply;
    this.#exchange = request.exchange;
    this.#exchange.calledMs = this.#exchange.elapsedMs;
    // After a pause of this process the timer fires before a response that is already in the socket is read. setImmediate
    // runs after the event loop has read.
    this.#timer = setTimeout(() => setImmediate(() => this.#onTimeout()), timeoutMs);
    reply.raw.on('close', () => this.#onClose());
    this.upload = uploadOf(request.raw);
    this.upload?.body.once('end', () => this.#timer.refresh());
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#finished) controller.abort(this.#finished);
    else if (this.upload && expectsContinue(this.#request)) this.#reply.raw.writeContinue();
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    if (status >= 100 && status < 200) return;
    if (status < 100 || status > 599 || !hasOnlyChunkedCoding(headers)) {
      controller.abort(INVALID);
      return;
    }
    clearTimeout(this.#timer);
    const { raw } = this.#reply;
    raw.writeHead(status, responseHeaders(status, headers, this.#reply)); // throws when Node does not accept a field
    this.#exchange.answered = true;
    if (status === 204 || status === 304) {
      // Complete without a body. undici expects one if there is a Content-Length, and fails the call next.
      this.#finish();
    } else {
      // Usually the first chunk arrives before the next tick, and the headers are sent with it. In an event stream it may
      // come much later.
      process.nextTick(() => {
        if (!this.#bodyStarted && !this.#finished) raw.flushHeaders();
      });
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bodyStarted = true;
    this.#exchange.bytesOut += chunk.length;
    const { raw } = this.#reply;
    if (!raw.write(chunk)) {
      controller.pause();
      raw.once('drain', () => controller.resume());
    }
  }

  onResponseEnd(): void {
    if (!this.#finished) this.#finish();
  }

  onResponseError(_controller: unknown, error: Error): void {
    clearTimeout(this.#timer);
    this.upload?.body.destroy(); // undici does not destroy it when it found no connection
    if (this.#finished) return;
    this.#finished = error;
    const { raw } = this.#reply;
    if (raw.headersSent) {
      // Ending the response would make half of it look complete.
      this.#exchange.problem = RESET;
      raw.destroy();
    } else {
      sendProblem(this.#reply, problemOf(error, this.#controller !== null));
    }
  }

  #finish(): void {
    this.#finished = RESPONSE_SENT;
    this.#exchange.completedMs = this.#exchange.elapsedMs;
    this.#reply.raw.end();
  }

  /** The response has been sent, or the client has closed its connection. Then the call is cancelled. */
  #onClose(): void {
    clearTimeout(this.#timer);
    if (this.#finished) return;
    this.#finished = CLIENT_ABORT;
    this.#controller?.abort(CLIENT_ABORT);
  }

  /** `timeoutMs` is over. An upload that is still moving gets the same time again. */
  #onTimeout(): void {
    if (this.#finished || this.#exchange.answered) return;
    if (this.upload?.stillMoving()) {
      this.#timer.refresh();
    } else if (this.#controller) {
      this.#controller.abort(TIMEOUT);
    } else {
      this.onResponseError(null, TIMEOUT);
    }
  }
}

/** True when the client waits for 100 Continue before it uploads (RFC 9110 10.1.1). HTTP/1.0 does not have it. */
function expectsContinue({ raw }: FastifyRequest): boolean {
  return raw.headers.expect?.toLowerCase() === '100-continue' && raw.httpVersion === '1.1';
}
