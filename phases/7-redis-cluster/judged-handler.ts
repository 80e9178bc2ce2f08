import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { BAD_REQUEST } from './problem.ts';
import type { CallOptions } from './reused-connection.ts';
import { CLIENT_ABORT, EXHAUSTED, problemOf } from './upstream.ts';

/** Receives the result of one call. `generation` is that of the circuit when the call began. */
export type Judge = (failed: boolean, generation: number) => void;

// 501 Not Implemented and 505 HTTP Version Not Supported: any client could cause them, so they count neither way.
const ABOUT_THE_REQUEST = new Set([501, 505]);

/** Passes everything from undici on to the handler of one call, and judges the call when its response has ended. */
export class JudgedHandler implements Dispatcher.DispatchHandler {
  readonly #options: CallOptions;
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #judge: Judge;
  readonly #generation: number;
  #status = 0;

  constructor(options: CallOptions, handler: Dispatcher.DispatchHandler, judge: Judge, generation: number) {
    this.#options = options;
    this.#handler = handler;
    this.#judge = judge;
    this.#generation = generation;
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#options.connection?.callBegins();
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
    if (!ABOUT_THE_REQUEST.has(this.#status)) this.#judge(this.#status >= 500, this.#generation);
    this.#handler.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#status === 204 || this.#status === 304) {
      // The response is complete. undici reports an error when it has a Content-Length, because it expects a body.
      this.#judge(false, this.#generation);
    } else if (!this.#options.connection?.isStale(error) && isFailure(error)) {
      this.#judge(true, this.#generation);
    }
    this.#handler.onResponseError?.(controller, error);
  }
}

/** False for the errors that the client or the gateway itself has caused: they count neither way. */
function isFailure(error: Error): boolean {
  if (error === CLIENT_ABORT) return false;
  const problem = problemOf(error, false);
  return problem !== EXHAUSTED && problem !== BAD_REQUEST;
}
