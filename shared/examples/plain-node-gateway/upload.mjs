// Bodies up to this length are read whole, and sent with the header in one write.
const MAX_COLLECTED_BYTES = 16_384;

// The framing of a chunked body may outweigh its data by this much.
const MAX_SURPLUS_BYTES = 16_384;

/** True when a body follows the header of the request (RFC 9112 6.3). */
export function hasBody({ headers }) {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

/** True for a body that is read whole before the service is called. */
export function isShort({ headers }) {
  return (
    headers['transfer-encoding'] === undefined && Number(headers['content-length']) <= MAX_COLLECTED_BYTES
  );
}

/** Reads a short body, then passes it on. Does nothing when the client leaves before the end. */
export function collect(request, done) {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.once('end', () => done(Buffer.concat(parts)));
}

/**
 * Passes a body on as it arrives, with one write per iteration of the event loop, however many chunks have come. Calls
 * `refuse` when a chunked body is more framing than data. Returns a function that ends the upload.
 */
export function stream(request, outgoing, refuse) {
  const { socket } = request;
  const isChunked = request.headers['transfer-encoding'] !== undefined;
  // What this read holds is left out: it can contain header fields and other requests.
  const readBefore = socket.bytesRead;
  let bytes = 0;
  let parts = [];

  function take(part) {
    if (parts.length === 0) setImmediate(flush);
    parts.push(part);
    bytes += part.length;
  }

  function flush() {
    if (parts.length === 0) return;
    const isFull = !outgoing.write(parts.length === 1 ? parts[0] : Buffer.concat(parts));
    parts = [];
    if (isFull) {
      request.pause();
      outgoing.once('drain', () => request.resume());
    }
    // Not earlier, because the data of a read comes in many parts, and bytesRead counts all of them at once.
    if (isChunked && !request.complete) {
      const data = bytes + request.readableLength;
      const framing = socket.bytesRead - readBefore - data;
      if (framing > data + MAX_SURPLUS_BYTES) refuse();
    }
  }

  function finish() {
    flush();
    outgoing.end();
  }

  request.on('data', take).once('end', finish);
  return () => {
    parts = [];
    request.off('data', take).off('end', finish).resume();
  };
}
