import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { directSender } from './address.ts';
import { Exchange, type Observer } from './exchange.ts';
import { BAD_REQUEST, Problem, refuse, sendProblem } from './problem.ts';
import { newId } from './request-id.ts';
import { closeInStages, discardInput } from './staged-close.ts';

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

/** A connection, with the response in flight. */
interface Connection extends Socket {
  _httpMessage?: ServerResponse | null;
}

/** Handler for what Node's parser refuses before Fastify sees a request: bad framing, large headers, slow clients. */
export function refuseUnparsed(observers: Observer[], now: () => number) {
  return (error: NodeJS.ErrnoException, socket: Socket): void => {
    // A client that closes its side in the middle of a request has left, too.
    if (!socket.writable || error.code === 'ECONNRESET' || error.code === 'HPE_INVALID_EOF_STATE') {
      socket.destroy();
      return;
    }
    const problem = problemOfParser(error.code);
    const { _httpMessage: response } = socket as Connection;
    if (response) {
      refuseBehind(response, socket, problem);
      return;
    }
    const exchange = new Exchange(now, directSender({ socket, headers: {} }), null, null);
    exchange.id = newId();
    const body = refuse(exchange, problem);
    exchange.status = problem.status;
    for (const observer of observers) {
      observer.begin?.(exchange, null);
      observer.end(exchange);
    }
    const head = [
      `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
      'content-type: application/problem+json',
      `content-length: ${exchange.bytesOut}`,
      'connection: close',
      `x-request-id: ${exchange.id}`,
      `date: ${new Date().toUTCString()}`, // RFC 9110 6.6.1
    ];
    closeInStages(socket, `${head.join('\r\n')}\r\n\r\n${body}`);
  };
}

/** The error is in the body of the request in flight, or in the bytes behind it. */
function refuseBehind(response: ServerResponse, socket: Connection, problem: Problem): void {
  const { req, reply } = response;
  if (req.complete || response.writableEnded) {
    // Nothing more is read, because it is unknown where the next request begins.
    discardInput(socket);
    closeAfter(response, socket);
  } else if (reply && !response.headersSent) {
    discardInput(socket);
    reply.header('connection', 'close');
    sendProblem(reply, problem);
  } else {
    // More bytes would be read as part of the response that has begun.
    if (reply) reply.request.exchange.problem = problem;
    socket.destroy();
  }
}

/** Closes a connection when the response in flight, and those to the complete requests behind it, have been sent. */
function closeAfter(response: ServerResponse, socket: Connection): void {
  response.once('finish', () => {
    const next = socket._httpMessage; // Node has just given the socket to it
    if (next?.req.complete) closeAfter(next, socket);
    else closeInStages(socket);
  });
}

function problemOfParser(code: string | undefined): Problem {
  if (code === 'HPE_HEADER_OVERFLOW') return HEADERS_TOO_LARGE;
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return REQUEST_TIMEOUT;
  return BAD_REQUEST;
}
