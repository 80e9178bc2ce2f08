import type { ReplyPlan, RequestPlan, SequencePlan } from './plans.ts';
import { type Reply, type ReplyFlaw, replyFlaws } from './reply-flaws.ts';
import { type Message, requestFlaws } from './request-flaws.ts';

/** A request as bytes, and what the gateway and the service have to do with it. */
export interface Request {
  readonly id: string;
  readonly bytes: string;
  readonly method: string;
  /** Method, target and body as the service must see them. */
  readonly target: string;
  readonly body: string;
  readonly version: 1 | 0;
  /** `served`: it must be answered. The others as in request-flaws.ts. `unfinished`: its end is never sent. */
  readonly fate: 'served' | 'refused' | 'broken' | 'either' | 'unfinished';
  /** The connection after a refusal. */
  readonly connection: 'closes' | 'stays' | 'any';
  /** The connection after an answer of the service. */
  readonly closes: boolean | 'any';
  readonly mayWait: boolean;
  readonly reply: Response;
}

/** The answer of a service as bytes, and what the client must get of it. */
export interface Response {
  readonly writes: string[];
  readonly early: boolean;
  readonly ends: boolean;
  readonly outcome: ReplyFlaw['outcome'];
  readonly status: number;
  /** The body for the client, without framing. */
  readonly body: string;
  /** A request that follows on this connection gets no answer: the connection has ended, or the gateway ends it. */
  readonly spoilsConnection: boolean;
}

const expectation = 'Expect: 100-continue';

/** Writes the requests of one connection as bytes, in latin1. Their ids begin with `token`, their paths with `prefix`. */
export function requestsOf(plan: SequencePlan, prefix: string, token: string): Request[] {
  const flawAt = plan.flaw ? Math.min(plan.flaw.at, plan.requests.length - 1) : -1;
  return plan.requests.map((request, i) => {
    const isLast = i === plan.requests.length - 1;
    const unfinished = isLast && plan.departure === 'ends';
    return requestOf(
      request,
      prefix,
      `${token}${i}`,
      i === flawAt && plan.flaw ? plan.flaw.name : null,
      unfinished,
    );
  });
}

function requestOf(
  plan: RequestPlan,
  prefix: string,
  id: string,
  flawName: string | null,
  unfinished: boolean,
): Request {
  const flaw = flawName === null ? undefined : requestFlaws.get(flawName);
  const version = flaw ? 1 : plan.version;
  const framing = flaw?.framing ?? (plan.framing === 'chunked' && version === 0 ? 'length' : plan.framing);
  const target = `/${id}${plan.query}`;
  let body = framing === 'none' ? '' : plan.body.replaceAll('%HERE%', `${prefix}/hidden-${id}`);
  if (flaw && framing !== 'none' && body === '') body = 'body';
  const closes = flaw ? false : plan.closes;
  const connection = version === 1 ? closes && 'Connection: close' : !closes && 'Connection: keep-alive';
  // A parser that refuses a request does not know that its refusal must have no body.
  const method = (flaw || unfinished) && plan.method === 'HEAD' ? 'GET' : plan.method;
  // The answer to a client that expects 100 and gets none has Connection: close. As in request-flaws.ts: not sent.
  const hasContinue = !flaw && body !== '';
  const message: Message = {
    start: `${method} ${prefix}${target} HTTP/1.${version}`,
    host: ['Host: a'],
    fields: [
      ...plan.fields.filter((field) => hasContinue || field !== expectation),
      ...(connection ? [connection] : []),
    ],
    framing:
      framing === 'length'
        ? [`Content-Length: ${body.length}`]
        : framing === 'chunked'
          ? ['Transfer-Encoding: chunked']
          : [],
    body: framing === 'chunked' ? chunked(body, plan) : body,
    last:
      framing === 'chunked'
        ? `${plan.spelling === 'zeros' ? '00' : '0'}\r\n${plan.trailer ? 'X-Sum: 1\r\n' : ''}\r\n`
        : '',
  };
  const sent = { ...message, ...flaw?.write(message) };
  if (flawName === 'Content-Length: 5,5') body = 'equal';
  const lines = [sent.start, ...sent.host, ...sent.fields, ...sent.framing];
  const bytes = `${lines.join('\r\n')}\r\n\r\n${sent.body}${sent.last}`;
  const end = unfinished && !flaw ? Math.max(1, Math.floor(bytes.length * 0.8)) : bytes.length;
  const expects = hasContinue && plan.fields.includes(expectation);
  const reply = responseOf(plan.reply, id, sent.start.startsWith('HEAD '));
  return {
    id,
    bytes: bytes.slice(0, end),
    method: flawName?.includes('method') ? sent.start.slice(0, sent.start.indexOf(' ')) : method,
    target,
    body,
    version,
    fate: unfinished && !flaw ? 'unfinished' : (flaw?.fate ?? 'served'),
    connection: flaw?.connection ?? 'any',
    closes: flaw || (version === 0 && plan.fields.includes('Proxy-Connection: keep-alive')) ? 'any' : closes,
    mayWait: flaw?.mayWait ?? false,
    reply: expects && reply.early ? { ...reply, early: false } : reply,
  };
}

function chunked(body: string, { sizes, spelling }: Pick<RequestPlan, 'sizes' | 'spelling'>): string {
  const sizeLine = (size: number): string => {
    const digits = size.toString(16);
    if (spelling === 'upper case') return digits.toUpperCase();
    if (spelling === 'zeros') return `000${digits}`;
    if (spelling === 'extension') return `${digits};a=b;c`;
    if (spelling === 'quoted extension') return `${digits};a="b c;\t,"`;
    return digits;
  };
  return cut(body, sizes)
    .map((chunk) => `${sizeLine(chunk.length)}\r\n${chunk}\r\n`)
    .join('');
}

/** Cuts a text into pieces of these sizes; the last piece is the rest. */
export function cut(text: string, sizes: number[]): string[] {
  const pieces: string[] = [];
  let at = 0;
  for (const size of sizes) {
    if (at + size >= text.length) break;
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  if (at < text.length) pieces.push(text.slice(at));
  return pieces;
}

function responseOf(plan: ReplyPlan, id: string, isHead: boolean): Response {
  const flaw = plan.flaw === null ? undefined : replyFlaws.get(plan.flaw);
  const hasBody = !isHead && plan.status !== 204 && plan.status !== 304;
  const content = `${id}|${plan.text.replaceAll('%HERE%', '/unasked')}`;
  const chunks = chunked(content, { ...plan, spelling: 'plain' });
  const framing =
    plan.framing === 'close' || plan.status === 204
      ? []
      : [plan.framing === 'length' ? `Content-Length: ${content.length}` : 'Transfer-Encoding: chunked'];
  const closes = plan.framing === 'close' || plan.end !== 'keeps';
  const reply: Reply = {
    start: `HTTP/1.1 ${plan.status} Any Reason`,
    fields: [`X-Id: ${id}`, ...(closes && plan.end === 'announced' ? ['Connection: close'] : [])],
    framing,
    body: !hasBody ? '' : plan.framing === 'chunked' ? chunks : content,
    last: hasBody && plan.framing === 'chunked' ? '0\r\n\r\n' : '',
    ends: closes,
  };
  const sent = { ...reply, ...flaw?.write(reply) };
  const head = `${[sent.start, ...sent.fields, ...sent.framing].join('\r\n')}\r\n\r\n`;
  const bytes = sent.bytes ?? head + sent.body + sent.last;
  return {
    // What follows the end of an answer is sent together with it. Later, it could meet the next request on its way.
    writes: flaw?.spoilsConnection ? [bytes] : cut(bytes, plan.sizes),
    early: plan.early,
    ends: sent.ends,
    outcome: outcomeOf(flaw, hasBody, plan, sent.ends),
    status: plan.status,
    body: hasBody ? content : '',
    spoilsConnection: flaw?.spoilsConnection === true || (sent.ends && plan.end !== 'announced'),
  };
}

function outcomeOf(
  flaw: ReplyFlaw | undefined,
  hasBody: boolean,
  plan: ReplyPlan,
  ends: boolean,
): ReplyFlaw['outcome'] {
  if (flaw && flaw.outcome !== 'whole' && !hasBody) return 'any';
  // A service that closes while the body of the request is still coming resets the connection. The answer can be lost.
  if (plan.early && ends && (flaw?.outcome ?? 'whole') === 'whole') return 'any';
  return flaw?.outcome ?? 'whole';
}
