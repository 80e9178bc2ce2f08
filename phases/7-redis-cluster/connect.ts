import type { Socket } from 'node:net';
import { buildConnector } from 'undici';
import { lookup } from './lookup.ts';

/** Opens connections to a service, each within `timeoutMs`, or fails with a ConnectTimeoutError. */
export function connectWithin(timeoutMs: number): buildConnector.connector {
  const connect = buildConnector({
    timeout: timeoutMs,
    lookup,
    // When a name has several addresses, Node gives up on each after this long (by default 250 ms) and tries the next one.
    autoSelectFamilyAttemptTimeout: Math.max(250, timeoutMs / 2),
  });
  return (options, callback) =>
    connect(options, (...result) => {
      const [, socket] = result;
      if (socket) delayEndUntilDrained(socket);
      callback(...result);
    });
}

/**
 * Emits 'end' on a socket only when undici reads and nothing is left to read. Without this undici 7 fails an assertion,
 * which ends the process, when a service closes its connection while a slow client holds up the response
 * (https://github.com/nodejs/undici/issues/5360).
 */
function delayEndUntilDrained(socket: Socket): void {
  const { push, read } = socket;
  socket.push = (chunk) => {
    if (chunk === null) {
      // Node emits 'end' after read(0), which reads nothing, and after a read of more bytes than are buffered.
      socket.read = (size) =>
        size === 0 ? null : read.call(socket, size ?? (socket.readableLength || undefined));
    }
    return push.call(socket, chunk);
  };
  // undici treats ECONNRESET as a clean end and fails the same assertion. A reset is an incomplete response (RFC 9112 8).
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNRESET') delete error.code;
  });
}
