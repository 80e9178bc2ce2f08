// After the last response on a connection, this much more is read from it, for this long.
const MAX_DISCARDED_BYTES = 256 * 1024;
const LINGER_MS = 2_000;

/** The connections from which nothing is parsed any more. */
const deaf = new WeakSet();
const closing = new WeakSet();

/** True when nothing that this connection still sends is a request. */
export function isDeaf(socket) {
  return deaf.has(socket);
}

/** Bypasses the parser: what the connection still sends is discarded, and beyond a limit it is not read. */
export function stopParsing(socket) {
  if (deaf.has(socket)) return;
  deaf.add(socket);
  let left = MAX_DISCARDED_BYTES;
  // Node connects the parser to the handle of the socket. A listener for 'data' disconnects it.
  socket.removeAllListeners('data').on('data', ({ length }) => {
    left -= length;
    if (left < 0) socket.pause();
  });
  socket.resume();
}

/**
 * Closes a connection in stages (RFC 9112 9.6), after its last response. If it were closed while bytes are unread, the
 * system would send a reset, and the client could lose the response.
 */
export function closeInStages(socket) {
  if (closing.has(socket) || socket.destroyed) return;
  closing.add(socket);
  stopParsing(socket);
  const close = () => socket.destroy();
  socket.end(() => {
    if (socket.readableEnded) close();
    socket.once('end', close);
    const timer = setTimeout(close, LINGER_MS);
    socket.once('close', () => clearTimeout(timer));
  });
}
