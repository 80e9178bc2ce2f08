import type { Talk } from './client.ts';
import type { Request } from './messages.ts';
import { NotHttp, type ReadAnswer, readAnswer, valuesOf } from './readers.ts';
import type { Service } from './service.ts';

/** What happened on one connection of a client. */
export interface Visit {
  requests: Request[];
  talk: Talk;
  /** The client closed its connection at once. */
  hasLeft: boolean;
  /** A service has ended or spoilt connections, so a request on its way there gets 502. */
  mayBeLost: boolean;
}

/** Says what the gateway did wrong on this connection; undefined when it kept to RFC 9112 and to the contract. */
export function findFault(visit: Visit, service: Service): string | undefined {
  try {
    return walk(visit, service);
  } catch (error) {
    if (error instanceof NotHttp) return `The client got bytes that are not HTTP: ${error.message}`;
    throw error;
  }
}

function walk({ requests, talk, hasLeft, mayBeLost }: Visit, service: Service): string | undefined {
  let at = 0;
  /** Requests from this number on must not be executed, because the connection has ended before them. */
  let overFrom = Infinity;
  let isOver = false;
  let mayBeOver = false;
  const end = (from: number) => {
    isOver = true;
    overFrom = from;
  };
  for (const [i, request] of requests.entries()) {
    const { id, fate, reply } = request;
    const seen = service.seen(id);
    if (isOver) {
      if (i < overFrom) continue;
      if (seen.times > 0) return `Request ${id} was executed after the end of its connection.`;
      seen.isTooLate = true;
      continue;
    }
    const canBeLost = hasLeft || (endsAfter(requests, i) && (talk.wasReset || mayBeReplaced));
    const lose = () => {
      at = talk.text.length;
      end(hasLeft ? requests.length : endOf(requests, i));
    };
    const answer = readAnswer(talk.text, at, request.method);
    if (!answer) {
      // Interim answers alone are no answer: the client may leave after its 100 Continue.
      const isNothing = talk.text.slice(at).replace(/^(?:HTTP\/1\.1 1\d\d [\s\S]*?\r\n\r\n)*/, '') === '';
      if (isNothing) at = talk.text.length;
      if (canBeLost) lose();
      else if (!isNothing) return `The answer to request ${id} has no complete header.`;
      else if (mayBeOver && seen.times === 0) end(i + 1);
      else if (
        fate === 'served'
          ? reply.outcome === 'whole' || reply.outcome === 'bad'
          : request.connection === 'stays'
      )
        return `Request ${id} got no answer.`;
      else end(i + 1);
      continue;
    }
    at = answer.end;
    const fault = checkInterims(answer, request);
    if (fault) return fault;
    if (isProblem(answer)) {
      const { status } = answer;
      const isRefusal = (status >= 400 && status < 500) || status === 501 || status === 505;
      const isFailure = status === 502 && fate !== 'refused' && (reply.outcome !== 'whole' || mayBeLost);
      if (isRefusal && fate === 'served' && canBeLost) lose();
      else if (isRefusal ? fate === 'served' : !isFailure) return `Request ${id} got ${status}.`;
      else if (answer.isComplete !== true && !canBeLost)
        return `The refusal of request ${id} is not complete.`;
      else if (isRefusal && request.connection === 'closes') end(i + 1);
      else if (isRefusal && request.connection === 'any') mayBeOver = true;
    } else {
      const wrong = checkReply(answer, request, seen.times, canBeLost);
      if (wrong) return wrong;
      if (answer.isComplete === false && canBeLost) lose();
      else if (answer.isComplete === false || request.closes === true) end(i + 1);
      else if (request.closes === 'any') mayBeOver = true;
    }
    if (fate === 'broken' || fate === 'unfinished') {
      // After an early answer the gateway may still refuse the rest of the body.
      const refusal = readAnswer(talk.text, at, request.method);
      if (refusal && isProblem(refusal)) at = refusal.end;
      if (!isOver) end(i + 1);
    }
    const closes = answer.isComplete === null || valuesOf(answer.head, 'connection').includes('close');
    if (!isOver && closes) end(mayBeginBehindClose ? requests.length : i + 1);
  }
  if (talk.text.length > at) return 'The client got bytes that answer no request.';
  if (talk.endedBy === 'timeout') return 'The connection was still open, and nothing came any more.';
  return undefined;
}

// These phases may send the refusal of what follows in place of the answer to a request that is in flight.
const mayBeReplaced = false;

// RFC 9112 9.6: behind an answer with Connection: close no request may be begun. These phases may begin one that arrives
// before the connection is closed.
const mayBeginBehindClose = false;

/** True when something behind this request can end the connection. A reset takes answers along that are on their way. */
function endsAfter(requests: Request[], i: number): boolean {
  return requests.some(
    ({ fate, closes }, j) =>
      (j > i && (fate !== 'served' || closes === 'any')) ||
      (j >= i && closes === true && j < requests.length - 1),
  );
}

/** The first request behind the place where the connection ends, at the latest. */
function endOf(requests: Request[], i: number): number {
  const closing = requests.findIndex(
    ({ connection, closes }, j) => j >= i && (closes === true || (j > i && connection === 'closes')),
  );
  return closing === -1 ? requests.length : closing + 1;
}

function isProblem({ head }: ReadAnswer): boolean {
  return valuesOf(head, 'x-id').length === 0;
}

function checkInterims({ interims }: ReadAnswer, { id, bytes, version, reply }: Request): string | undefined {
  const planned = reply.writes.join('');
  for (const { start } of interims) {
    const status = start.slice(9, 12);
    const asked = status === '100' && bytes.includes('Expect: 100-continue');
    if (version === 0 || !(asked || planned.includes(`HTTP/1.1 ${status} `)))
      return `Request ${id} got an interim answer that no service sent: ${status}`;
  }
  return undefined;
}

function checkReply(
  { head, status, body, isComplete }: ReadAnswer,
  { id, fate, version, reply }: Request,
  times: number,
  mayBeCut: boolean,
): string | undefined {
  const [from = '', ...more] = valuesOf(head, 'x-id');
  if (from !== id || more.length > 0) return `Request ${id} got an answer that is not its own: ${from}`;
  if (fate === 'refused') return `Request ${id} was not refused.`;
  if (times !== 1) return `Request ${id} was executed ${times} times.`;
  if (reply.outcome === 'bad') return `Request ${id} got an answer that is not valid HTTP.`;
  if (status !== reply.status) return `Request ${id} got status ${status} instead of ${reply.status}.`;
  const isOwn =
    reply.body.startsWith(body) || (reply.outcome !== 'whole' && reply.writes.join('').includes(body));
  if (!isOwn) return `Request ${id} got a body that its service did not send.`;
  if (isComplete === null && version === 1 && !valuesOf(head, 'connection').includes('close'))
    return `The answer to request ${id} has no end.`;
  const isWhole = body === reply.body;
  if (isComplete && !isWhole && reply.outcome !== 'any')
    return `Request ${id} got half of a body as a whole one.`;
  if (isComplete && reply.outcome === 'cut') return `Request ${id} got a broken answer as a whole one.`;
  const isCut = isComplete === null ? !isWhole : !isComplete;
  if (isCut && reply.outcome === 'whole' && fate !== 'broken' && fate !== 'unfinished' && !mayBeCut)
    return `The answer to request ${id} was cut short.`;
  return undefined;
}
