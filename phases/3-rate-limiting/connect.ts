import type { Socket } from 'node:net';
import { buildConnector } from 'undici';

/** Opens connections to a service, each within `timeoutMs` or with a ConnectTimeoutError. For a Pool of undici 7. */
export function connectWithin(timeoutMs: number): buildConnector.connector {
  const connect = buildConnector({ timeout: timeoutMs });
  return (options, callback) =>
    connect(options, (...result) => {
      const [, socket] = result;
      if (socket) holdEndBack(socket);
      callback(...result);
    });
}

/**
 * Lets a connection end only when undici reads and nothing is left. undici 7 fails an assertion, and with it the process,
 * when a service closes while a slow client holds up the answer (https://github.com/nodejs/undici/issues/5360).
 */
function holdEndBack(socket: Socket): void {
  const { push, read } = socket;
  socket.push = (chunk) => {
    if (chunk === null) {
      // Node emits 'end' after read(0), which reads nothing, and after a read that asks for more than is there.
      socket.read = (size) =>
        size === 0 ? null : read.call(socket, size ?? (socket.readableLength || undefined));
    }
    return push.call(socket, chunk);
  };
  // undici takes this code for a clean end, and asserts there too. But a reset cuts an answer short (RFC 9112 8).
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNRESET') delete error.code;
  });
}
