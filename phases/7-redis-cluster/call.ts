import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import type { Exchange } from './exchange.ts';
import { responseHeaders } from './headers.ts';
import { sendInterim } from './interim.ts';
import { BAD_REQUEST, sendProblem } from './problem.ts';
import { expectsContinue, hasBody, isLong, Upload } from './upload.ts';
import { CLIENT_ABORT, INVALID, problemOf, RESET, TIMEOUT } from './upstream.ts';
import { hasOnlyChunkedCoding } from './well-formed.ts';

const RESPONSE_SENT = new Error('the response is complete');

/** One call to a service: undici calls these methods, and they write the response to the client. */
export class Call implements Dispatcher.DispatchHandler {
  readonly hasBody: boolean;
  /** The request body as a stream, or null when there is none, or a short one. */
  readonly upload: Upload | null = null;
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
    this.hasBody = hasBody(request.raw);
    if (this.hasBody && (isLong(request.raw) || expectsContinue(request.raw))) {
      this.upload = new Upload(request.raw, () => this.restartTimer());
    }
  }

  /** `timeoutMs` runs from the complete request. */
  restartTimer(): void {
    this.#timer.refresh();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#finished) controller.abort(this.#finished);
    else if (this.upload && expectsContinue(this.#request.raw)) this.#reply.raw.writeContinue();
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    if (this.#exchange.problem) {
      this.#onClose(); // a refusal is on its way
      return;
    }
    const { raw } = this.#reply;
    if (status >= 100 && status < 200 && status !== 101) {
      sendInterim(status, headers, raw);
      return;
    }
    if (status < 200 || status > 599 || !hasOnlyChunkedCoding(headers)) {
      controller.abort(INVALID);
      return;
    }
    clearTimeout(this.#timer);
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
    if (this.#finished) return;
    this.#finished = error;
    this.#exchange.failure = error;
    const { raw } = this.#reply;
    if (raw.headersSent) {
      // Ending the response would make half of it look complete. In HTTP/1.0 the end of the connection is the end of the
      // response, so only a reset tells the client.
      this.#exchange.problem = RESET;
      if (this.#request.raw.httpVersion === '1.0') raw.socket?.resetAndDestroy();
      else raw.destroy();
    } else {
      const problem = problemOf(error, this.#controller !== null);
      // undici has found the request malformed, and has not sent anything.
      if (problem === BAD_REQUEST && !this.#controller) this.#exchange.calledMs = null;
      sendProblem(this.#reply, problem);
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
    const isUploading = this.upload ? this.upload.stillMoving() : !this.#request.raw.complete;
    if (isUploading) {
      this.#timer.refresh();
    } else if (this.#controller) {
      this.#controller.abort(TIMEOUT);
    } else {
      this.onResponseError(null, TIMEOUT);
    }
  }
}
