import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Exchange, type Observer } from './exchange.ts';
import { BAD_REQUEST, Problem, refuse } from './problem.ts';

const HEADERS_TOO_LARGE = new Problem(
  'parse',
  431,
  'headers-too-large',
  'Headers too large',
  'The request headers exceed 16 KiB. Send fewer or shorter ones.',
);

const REQUEST_TIMEOUT = new Problem(
  'parse',
  408,
  'request-timeout',
  'Request timeout',
  'The request did not arrive completely in time. Send it again on a new connection.',
);

/** Handler for what Node's parser refuses before Fastify sees a request: bad framing, large headers, slow clients. */
export function refuseUnparsed(observers: Observer[], now: () => number) {
  return (error: NodeJS.ErrnoException, socket: Socket): void => {
    // After the start of a response on this connection, more bytes would be read as part of it.
    const { _httpMessage } = socket as Socket & { _httpMessage?: { headersSent: boolean } };
    if (!socket.writable || error.code === 'ECONNRESET' || _httpMessage?.headersSent) {
      socket.destroy();
      return;
    }
    const problem = problemOfParser(error.code);
    const exchange = new Exchange(now, null, null);
    const body = refuse(exchange, problem);
    exchange.status = problem.status;
    // A request in flight on this connection has an exchange of its own, which ends when the connection closes.
    if (!_httpMessage) {
      for (const observer of observers) {
        observer.begin?.();
        observer.end(exchange);
      }
    }
    const head = [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
      'content-type: application/problem+json',
      `content-length: ${exchange.bytesOut}`,
      'connection: close',
      `date: ${new Date().toUTCString()}`, // RFC 9110 6.6.1
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
  };
}

function problemOfParser(code: string | undefined): Problem {
  if (code === 'HPE_HEADER_OVERFLOW') return HEADERS_TOO_LARGE;
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return REQUEST_TIMEOUT;
  return BAD_REQUEST;
}
