import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

// While this many requests of a connection wait, no more are read from it.
const MAX_WAITING = 16;

/**
 * Wraps the request listener of a server: the requests of a connection are handled one after the other. Node emits
 * pipelined requests at once. A proxy would send them on different connections, and two PUTs of one client could arrive
 * in the wrong order (RFC 9112 9.3.2).
 */
export function inOrder(handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const waiting = new WeakMap<Socket, number>();

  function handleNext(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const left = (waiting.get(socket) ?? 1) - 1;
    waiting.set(socket, left);
    if (left === MAX_WAITING - 1) socket.resume();
    if (!response.destroyed && socket.writable) handle(request, response);
  }

  return (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    // RFC 9112 9.6: nothing is begun behind a response with Connection: close.
    if (!socket.writable) return;
    // Behind a request with Upgrade, Node loses the rest of the bytes that it has read. What comes next may be the middle of
    // a request, and must not be read as its beginning.
    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false;
    // Node gives the socket to a response when the responses before it have been sent.
    if (response.socket) {
      handle(request, response);
      return;
    }
    const count = (waiting.get(socket) ?? 0) + 1;
    waiting.set(socket, count);
    // Not before the next tick, because Node resumes the socket at the end of each request that it has parsed.
    if (count >= MAX_WAITING) process.nextTick(() => socket.pause());
    // One per iteration of the event loop, so that a long pipeline does not hold up the other connections.
    response.once('socket', () => setImmediate(handleNext, request, response));
  };
}
