import type { FastifyError, FastifyReply } from 'fastify';
import { closeWhileDraining } from './drain.ts';
import type { Exchange } from './exchange.ts';
import { closeUnlessComplete } from './staged-close.ts';
import { hasBody } from './upload.ts';

/**
 * A refusal, sent as application/problem+json (RFC 9457). One instance per cause, thrown for every request it
 * applies to: it contains nothing of the request, and its stack is never used.
 */
export class Problem extends Error {
  /** The pipeline stage that refuses. */
  readonly stage: string;
  readonly status: number;
  readonly title: string;

  constructor(stage: string, status: number, name: string, title: string, detail: string) {
    super(detail);
    this.name = name;
    this.stage = stage;
    this.status = status;
    this.title = title;
  }

  /** The members that RFC 9457 defines. */
  toJSON() {
    const type = `urn:gateway:problem:${this.name}`;
    return { type, title: this.title, status: this.status, detail: this.message };
  }
}

/** The request violates HTTP, or two servers could read it in two ways. */
export const BAD_REQUEST = new Problem(
  'parse',
  400,
  'bad-request',
  'Malformed request',
  'The request is malformed or ambiguous. Check its path, its Host field and its framing.',
);

const INTERNAL = new Problem(
  'gateway',
  500,
  'internal',
  'Internal error',
  'The gateway failed to handle this request. The fault is not in the request.',
);

/** Maps anything thrown to a Problem. Errors that are neither a Problem nor a 400 of Fastify are bugs and are reported. */
export function toProblem(error: unknown, report: (error: unknown) => void): Problem {
  if (error instanceof Problem) return error;
  if ((error as FastifyError).statusCode === 400) return BAD_REQUEST;
  report(error);
  return INTERNAL;
}

/** Notes the problem on the exchange and returns the body of the response. */
export function refuse(exchange: Exchange, problem: Problem): string {
  const body = JSON.stringify({ ...problem.toJSON(), requestId: exchange.id });
  exchange.problem = problem;
  if (exchange.method !== 'HEAD') exchange.bytesOut = Buffer.byteLength(body);
  return body;
}

/** Responds with the problem and with the headers that earlier stages have set. */
export function sendProblem(reply: FastifyReply, problem: Problem): void {
  const { exchange, raw } = reply.request;
  if (exchange.problem) return; // the first refusal is on its way
  const body = refuse(exchange, problem);
  reply.hijack();
  // The body may be in the bytes that Node is parsing. If it is complete after that, the connection stays usable.
  if (hasBody(raw) && !raw.complete) setImmediate(() => send(reply, problem, body));
  else send(reply, problem, body);
}

function send(reply: FastifyReply, problem: Problem, body: string): void {
  const { exchange } = reply.request;
  // The client has closed its connection, or the service has responded.
  if (reply.raw.destroyed || reply.raw.headersSent) return;
  const headers: Record<string, unknown> = reply.getHeaders();
  headers['content-type'] = 'application/problem+json';
  headers['content-length'] = Buffer.byteLength(body);
  if (exchange.timing) headers['server-timing'] = exchange.timing.value();
  closeWhileDraining(reply, headers);
  closeUnlessComplete(reply.request.raw, headers);
  reply.raw.writeHead(problem.status, headers as Record<string, string>);
  reply.raw.end(body);
}
