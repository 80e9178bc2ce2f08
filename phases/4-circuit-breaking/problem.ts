import type { FastifyError, FastifyReply } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** The refusal this request got, or null. The access log reads it. */
    problem: Problem | null;
  }
}

/**
 * A refusal, answered as application/problem+json (RFC 9457). Made once per cause and thrown many times: it
 * is an answer, not a bug, so nobody needs its stack. It holds nothing of the request and no internals.
 */
export class Problem extends Error {
  /** The pipeline stage that refuses. */
  readonly stage: string;
  readonly status: number;
  /** The JSON text, ready to send. */
  readonly body: string;

  constructor(stage: string, status: number, name: string, title: string, detail: string) {
    super(detail);
    this.stage = stage;
    this.status = status;
    this.body = JSON.stringify({ type: `urn:gateway:problem:${name}`, title, status, detail });
  }
}

/** The request breaks HTTP, or two servers could read it in two ways. */
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

/** Turns what was thrown into a Problem. What blames the request is 400; the rest is a bug, and reported. */
export function toProblem(error: unknown, report: (error: unknown) => void): Problem {
  if (error instanceof Problem) return error;
  if ((error as FastifyError).statusCode === 400) return BAD_REQUEST;
  report(error);
  return INTERNAL;
}

/** Answers with the problem, and the headers earlier stages have set. Only what the parser refuses is written elsewhere. */
export function sendProblem(reply: FastifyReply, problem: Problem): void {
  reply.request.problem = problem;
  reply.hijack();
  if (reply.raw.destroyed) return; // the client left while a stage waited
  const headers: Record<string, unknown> = reply.getHeaders();
  headers['content-type'] = 'application/problem+json';
  headers['content-length'] = Buffer.byteLength(problem.body);
  // While the gateway drains, the client must not send another request on this connection.
  if (!reply.server.server.listening) headers.connection = 'close';
  reply.raw.writeHead(problem.status, headers as Record<string, string>);
  reply.raw.end(problem.body);
}
