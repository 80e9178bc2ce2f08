import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { hasBody } from './upload.ts';

// What a client still sends is read up to this size, then no longer.
const MAX_DISCARDED_BYTES = 256 * 1024;

// A client has this long to read the response and to close the connection.
const CLOSE_WITHIN_MS = 2000;

/**
 * Makes a server close connections in stages (RFC 9112 9.6). A socket that is closed while bytes arrive sends a reset,
 * and the client may lose the response.
 */
export function closeConnectionsInStages(server: Server): void {
  // Node calls destroySoon() after a response with Connection: close.
  server.on('connection', (socket) => {
    socket.destroySoon = () => closeInStages(socket);
  });
  server.on('request', (request, response) => {
    if (hasBody(request)) response.once('finish', () => request.complete || closeInStages(request.socket));
  });
}

/** Adds `Connection: close` to a response that is sent before its request is complete. */
export function closeUnlessComplete(request: IncomingMessage, headers: Record<string, unknown>): void {
  if (!request.complete && hasBody(request)) headers.connection = 'close';
}

/** Sends `lastBytes` and the end of the connection, discards what still arrives, and closes the connection. */
export function closeInStages(socket: Socket, lastBytes = ''): void {
  if (!socket.writable) return;
  discardInput(socket);
  socket.end(lastBytes, () => {
    const timer = setTimeout(() => socket.destroy(), CLOSE_WITHIN_MS);
    socket.once('close', () => clearTimeout(timer));
  });
}

/** Takes the bytes that arrive from now on away from Node's parser, and discards them. */
export function discardInput(socket: Socket): void {
  let left = MAX_DISCARDED_BYTES;
  socket.removeAllListeners('data');
  socket.on('data', (chunk) => {
    left -= chunk.length;
    // Once per iteration of the event loop, so that the client does not hold up the others. At the end of the budget it
    // is not read any more, and TCP makes it wait.
    socket.pause();
    if (left > 0) setImmediate(() => socket.resume());
  });
  socket.resume();
}
