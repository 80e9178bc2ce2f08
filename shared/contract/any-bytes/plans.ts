import fc from 'fast-check';
import { type ReplyFlaw, replyFlaws, unasked } from './reply-flaws.ts';
import { requestFlaws } from './request-flaws.ts';

/** The answer of a service to one request, before it is written as bytes. */
export interface ReplyPlan {
  status: number;
  framing: 'length' | 'chunked' | 'close';
  /** The body is the id of the request and this text. */
  text: string;
  /** Sizes of the chunks and of the single writes. */
  sizes: number[];
  /** The service answers when it has the header of the request, before it has the body. */
  early: boolean;
  /** What the service does with the connection after the last byte. `announced`: it sends `Connection: close` and closes. */
  end: 'keeps' | 'announced' | 'unannounced';
  flaw: string | null;
}

/** One request of a client, before it is written as bytes. `%HERE%` in the body stands for a path of the same service. */
export interface RequestPlan {
  method: string;
  query: string;
  framing: 'none' | 'length' | 'chunked';
  body: string;
  /** Sizes of the chunks. */
  sizes: number[];
  /** How the sizes are spelt. */
  spelling: 'plain' | 'upper case' | 'zeros' | 'extension' | 'quoted extension';
  trailer: boolean;
  fields: string[];
  /** Minor version of HTTP/1. */
  version: 1 | 0;
  /** `Connection: close` for HTTP/1.1, no `Connection: keep-alive` for HTTP/1.0. */
  closes: boolean;
  reply: ReplyPlan;
}

/** What one client does on one connection. */
export interface SequencePlan {
  requests: RequestPlan[];
  /** A request with a flaw: its place in the pipeline. */
  flaw: { at: number; name: string } | null;
  /** Sizes of the single writes. */
  sizes: number[];
  /** `ends`: the client closes its side in the middle of its last request. `leaves`: it closes at once after the last write. */
  departure: 'none' | 'ends' | 'leaves';
}

/** Clients that call one service at the same time. */
export interface CasePlan {
  sequences: SequencePlan[];
}

/** At least one. With `minLength` fast-check could not leave out the last of them when it looks for the smallest case. */
function someOf<T>(arbitrary: fc.Arbitrary<T>, most: number): fc.Arbitrary<T[]> {
  return fc.array(arbitrary, { maxLength: most }).filter((all) => all.length > 0);
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'M-SEARCH'];

// Bytes and texts that have a meaning in HTTP.
const pieces = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  ':',
  ' ',
  '\t',
  '0',
  'a',
  ';',
  '=',
  '"',
  '\x7f',
  '\xff',
  '\xe4',
  '\r\n\r\n',
  '0\r\n\r\n',
  '5\r\nhello\r\n',
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'GET %HERE% HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST %HERE% HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n',
  '0\r\n\r\nGET %HERE% HTTP/1.1\r\nHost: a\r\n\r\n',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n\r\n',
];

const text = fc.oneof(
  { weight: 8, arbitrary: fc.string({ unit: fc.constantFrom(...pieces), maxLength: 12 }) },
  { weight: 1, arbitrary: fc.nat(3_000).map((length) => 'x'.repeat(length)) },
  // The gateway reads this many bytes ahead.
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(16_383, 16_384, 16_385, 20_000)
      .map((length) => '0\r\n\r\n'.repeat(length / 5)),
  },
);

const sizes = fc.oneof(
  { weight: 3, arbitrary: fc.constant<number[]>([]) },
  { weight: 2, arbitrary: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 4 }) },
);

const fields = fc.array(
  fc.constantFrom(
    'X-A: b',
    'X-A:b',
    'X-A: \t b \t',
    'X-A:',
    'x-a: \xe4\xff',
    'X-A: a\tb',
    "!#$%&'*+-.^_`|~: x",
    'Expect: 100-continue',
    'Connection: X-A',
    'Connection: Content-Length, Transfer-Encoding',
    'Connection: Host',
    'Content_Length: 3',
    'Transfer_Encoding: chunked',
    'TE: trailers',
    'Keep-Alive: timeout=5',
    'Proxy-Connection: keep-alive',
    'X-Content-Length: 5',
    'Content-Length-X: 5',
    'Trailer: X-Sum',
  ),
  { maxLength: 3 },
);

const replies: fc.Arbitrary<ReplyPlan> = fc.record({
  status: fc.constantFrom(200, 200, 200, 201, 204, 304, 404, 500),
  framing: fc.constantFrom('length', 'length', 'chunked', 'chunked', 'close'),
  text,
  sizes,
  early: fc.constantFrom(false, false, false, true),
  end: fc.constantFrom('keeps', 'keeps', 'keeps', 'keeps', 'announced', 'unannounced'),
  flaw: fc.constant(null),
});

const flawedReplies = fc
  .tuple(replies, fc.constantFrom(...replyFlaws))
  .map(([reply, [name, flaw]]) => withFlaw(reply, name, flaw));

function withFlaw(reply: ReplyPlan, name: string, flaw: ReplyFlaw): ReplyPlan {
  const framing = flaw.framing ?? (reply.framing === 'close' ? 'length' : reply.framing);
  return { ...reply, flaw: name, framing, status: flaw.spoilsConnection ? reply.status : 200, end: 'keeps' };
}

const requests: fc.Arbitrary<RequestPlan> = fc.record({
  method: fc.constantFrom(...methods),
  query: fc.constantFrom('', '?', '?a=b', '?a=%00%0d%0a', '?http://b/', '?a=HTTP/1.1'),
  framing: fc.constantFrom('none', 'length', 'chunked'),
  body: text,
  sizes,
  spelling: fc.constantFrom('plain', 'plain', 'upper case', 'zeros', 'extension', 'quoted extension'),
  trailer: fc.constantFrom(false, false, false, true),
  fields,
  version: fc.constantFrom(1, 1, 1, 1, 1, 1, 1, 0),
  closes: fc.constantFrom(false, false, false, false, false, true),
  reply: fc.oneof({ weight: 4, arbitrary: replies }, { weight: 1, arbitrary: flawedReplies }),
});

/** Requests without a flaw after which the gateway keeps its connection to the service. */
export const keptRequests: fc.Arbitrary<RequestPlan> = requests.map((request) => {
  const { framing } = request.reply;
  const reply = { ...request.reply, framing: framing === 'close' ? ('length' as const) : framing };
  const kept = { ...reply, early: false, end: 'keeps' as const, flaw: null };
  // A gateway may close the connection of a client that expects 100 and gets the answer at once.
  const fields = request.fields.filter((field) => !field.startsWith('Expect'));
  return { ...request, fields, version: 1, closes: false, reply: kept };
});

/** Bytes that no request has asked for. */
export const idleBytes: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    unasked,
    unasked.repeat(2),
    'HTTP/1.1 204 No Content\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\nuntil the end',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
  ),
  fc.nat(unasked.length - 1).map((length) => unasked.slice(0, length + 1)),
  fc.string({ unit: fc.constantFrom(...pieces), minLength: 1, maxLength: 5 }),
);

const sequences: fc.Arbitrary<SequencePlan> = fc
  .record({
    requests: someOf(requests, 5),
    flaw: fc.oneof(
      { weight: 1, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: fc.record({ at: fc.nat(4), name: fc.constantFrom(...requestFlaws.keys()) }) },
    ),
    sizes,
    departure: fc.constantFrom(
      'none',
      'none',
      'none',
      'none',
      'none',
      'none',
      'none',
      'none',
      'ends',
      'leaves',
    ),
  })
  .map((plan) => plan as SequencePlan);

/** Random clients, requests and answers. */
export const casePlans: fc.Arbitrary<CasePlan> = fc.record({
  sequences: someOf(sequences, 3),
});
