import { isDeaf } from './closing.mjs';

// While this many requests of a connection wait, no more are read from it.
const MAX_WAITING = 16;

/**
 * Wraps the listener for requests: those of one connection are served one after the other (RFC 9112 9.3.2). Node emits
 * pipelined requests at once. On different connections to a service they could overtake each other.
 */
export function inOrder(serve) {
  /** The number of requests that wait, by connection. */
  const waiting = new WeakMap();

  function serveNext(request, response) {
    const { socket } = request;
    const left = waiting.get(socket) - 1;
    waiting.set(socket, left);
    if (left === MAX_WAITING - 1) socket.resume();
    if (!response.destroyed && !isDeaf(socket)) serve(request, response);
  }

  return (request, response) => {
    const { socket } = request;
    // RFC 9112 9.6: nothing is begun behind a response with Connection: close.
    if (isDeaf(socket) || !socket.writable) return;
    // Behind a request with Upgrade, Node loses the rest of the bytes that it has read. What comes next may be the middle
    // of a request.
    if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false;
    // A response gets its socket when all responses before it have been sent.
    if (response.socket) {
      serve(request, response);
      return;
    }
    const count = (waiting.get(socket) ?? 0) + 1;
    waiting.set(socket, count);
    // In the next tick, because Node resumes the socket at the end of each request that it has parsed.
    if (count >= MAX_WAITING) process.nextTick(() => socket.pause());
    // In a setImmediate, so that a long pipeline lets other connections pass.
    response.once('socket', () => setImmediate(serveNext, request, response));
  };
}
