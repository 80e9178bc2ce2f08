import type { IncomingHttpHeaders } from 'node:http';
import { type Dispatcher, errors } from 'undici';
import { CLIENT_ABORT } from './upstream.ts';

/** Receives the result of one call. `generation` is that of the circuit when the call began. */
export type Judge = (failed: boolean, generation: number) => void;

/** Passes everything from undici on to the handler of one call, and judges the call when its response has ended. */
export class JudgedHandler implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #judge: Judge;
  readonly #generation: number;
  #status = 0;

  constructor(handler: Dispatcher.DispatchHandler, judge: Judge, generation: number) {
    this.#handler = handler;
    this.#judge = judge;
    this.#generation = generation;
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
    this.#judge(this.#status >= 500, this.#generation);
    this.#handler.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#status === 204 || this.#status === 304) {
      // The response is complete. undici reports an error when it has a Content-Length, because it expects a body.
      this.#judge(false, this.#generation);
    } else if (error !== CLIENT_ABORT && !(error instanceof errors.InvalidArgumentError)) {
      // Both errors come from the client: it closed its connection, or its request is one that undici does not send.
      this.#judge(true, this.#generation);
    }
    this.#handler.onResponseError?.(controller, error);
  }
}
