// The bytes of requests that tests write on a connection.

/** A limit for "at once": below the 10 s that a stop may take, far above what an idle machine needs. */
export const atOnceMs = 8_000;

/** GET with these lines of header fields. */
export function get(path: string, fields = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
}

/** PUT with a body of known length. */
export function put(path: string, body = 'hello'): string {
  return `PUT ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** The header of a POST in chunks. */
export function chunkedPost(path: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`;
}

/** Splits `bytes` bytes into chunks of this size. */
export function inChunks(size: number, bytes: number): string {
  return `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`.repeat(bytes / size);
}

/** Ends a body in chunks. */
export const lastChunk = '0\r\n\r\n';
