import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';

/** The request body on its way to the service. */
export class Upload {
  /** The stream that undici reads. */
  readonly body: PassThrough;
  readonly #request: IncomingMessage;
  /** Bytes received from the client at the last call of stillMoving(). */
  #received = 0;

  constructor(request: IncomingMessage) {
    this.#request = request;
    // undici destroys the body of a call that ends early. A destroyed request is never read to its end and blocks its
    // connection, so undici gets a stream of its own, and the rest of the request is read and discarded.
    this.body = request.pipe(new PassThrough());
    this.body.once('close', () => request.resume());
  }

  /** True while the service waits for more of the body, or if the client has sent more since the last call. */
  stillMoving(): boolean {
    const received = this.#request.socket.bytesRead;
    const progress = received > this.#received;
    this.#received = received;
    const { readableFlowing, readableEnded } = this.body;
    return readableFlowing !== null && !readableEnded && (readableFlowing || progress);
  }
}

/** The body of a request, or null when it has none (RFC 9112 6.3). */
export function uploadOf(request: IncomingMessage): Upload | null {
  const { headers } = request;
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
  return hasBody ? new Upload(request) : null;
}
