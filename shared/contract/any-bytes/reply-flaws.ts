/** An answer of a service in parts. A flaw changes some of them. */
export interface Reply {
  start: string;
  fields: string[];
  /** Content-Length or Transfer-Encoding, if any. */
  framing: string[];
  /** The body, in chunks if it is chunked. */
  body: string;
  /** The last chunk, or nothing. */
  last: string;
  /** Whether the service closes its connection after the last byte. */
  ends: boolean;
  /** All bytes, instead of the parts. */
  bytes?: string;
}

/** What is wrong with an answer, and what a gateway owes then. */
export interface ReplyFlaw {
  /**
   * `whole`: the client gets the answer. `bad`: it gets 502. `cut`: it gets 502, or part of the body and then the end of the
   * connection, but no answer that looks whole. `any`: one of these.
   */
  outcome: 'whole' | 'bad' | 'cut' | 'any';
  /** The framing of the answer, where the flaw needs one. */
  framing?: 'length' | 'chunked';
  /** Bytes follow the answer on its connection, so the gateway closes it. A request that is on its way there gets 502. */
  spoilsConnection?: true;
  write(reply: Reply): Partial<Reply>;
}

/** An answer that no request has asked for. */
export const unasked = 'HTTP/1.1 200 OK\r\nX-Id: unasked\r\nContent-Length: 7\r\n\r\nunasked';

type Rest = Omit<ReplyFlaw, 'write'>;

const bad: Rest = { outcome: 'bad' };
const cut: Rest = { outcome: 'cut' };
const any: Rest = { outcome: 'any' };
const tail: Rest = { outcome: 'whole', spoilsConnection: true };

const flaws: Array<[string, ReplyFlaw]> = [];

function add(name: string, rest: Rest, write: ReplyFlaw['write']): void {
  flaws.push([name, { ...rest, write }]);
}

for (const [name, rest, start] of [
  ['no HTTP', bad, 'hello'],
  ['a TLS alert', bad, '\x15\x03\x01\x00\x02\x02\x46'],
  ['a request', bad, 'GET / HTTP/1.1'],
  ['HTTP/2.0', bad, 'HTTP/2.0 200 OK'],
  ['HTTP/0.9', bad, 'HTTP/0.9 200 OK'],
  ['HTTP/1.2', any, 'HTTP/1.2 200 OK'],
  ['HTTP/1.10', bad, 'HTTP/1.10 200 OK'],
  ['http/1.1', bad, 'http/1.1 200 OK'],
  ['RTSP/1.0', bad, 'RTSP/1.0 200 OK'],
  ['ICY', bad, 'ICY 200 OK'],
  ['status 099', bad, 'HTTP/1.1 099 No'],
  ['status 000', bad, 'HTTP/1.1 000 No'],
  ['status 600', bad, 'HTTP/1.1 600 No'],
  ['status 999', bad, 'HTTP/1.1 999 No'],
  ['status 20', bad, 'HTTP/1.1 20 No'],
  ['status 2000', bad, 'HTTP/1.1 2000 No'],
  ['status 2x0', bad, 'HTTP/1.1 2x0 No'],
  ['status -20', bad, 'HTTP/1.1 -20 No'],
  ['no status', bad, 'HTTP/1.1 OK'],
  ['no reason', any, 'HTTP/1.1 200'],
  ['an empty reason', { outcome: 'whole' }, 'HTTP/1.1 200 '],
  ['an odd reason', { outcome: 'whole' }, 'HTTP/1.1 200 \xe4 (ok) = "fine"'],
  ['a NUL in its reason', any, 'HTTP/1.1 200 a\0b'],
  ['a CR in its reason', any, 'HTTP/1.1 200 a\rb'],
  ['two spaces', any, 'HTTP/1.1  200 OK'],
  ['a space before it', any, ' HTTP/1.1 200 OK'],
  ['an empty line before it', any, '\r\nHTTP/1.1 200 OK'],
  ['101 without an Upgrade', bad, 'HTTP/1.1 101 Switching Protocols'],
  ['an interim 103', { outcome: 'whole' }, 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK'],
  [
    'two interim 102',
    { outcome: 'whole' },
    'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK',
  ],
  ['an interim 100', any, 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK'],
  [
    'an interim 103 with a length',
    any,
    'HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK',
  ],
] as const)
  add(`a status line with ${name}`, rest, () => ({ start }));

for (const value of [
  '+5',
  '-5',
  '5 5',
  '0x5',
  '5a',
  '',
  '5.0',
  '"5"',
  '5;',
  '5, 6',
  '5\0',
  '18446744073709551621',
])
  add(`Content-Length: ${value}`, { ...bad, framing: 'length' }, () => ({
    framing: [`Content-Length: ${value}`],
    ends: true,
  }));
add('Content-Length as a list of equal values', { ...any, framing: 'length' }, ({ body }) => ({
  framing: [`Content-Length: ${body.length}, ${body.length}`],
  ends: true,
}));
add('Content-Length with zeros before it', { outcome: 'whole', framing: 'length' }, ({ body }) => ({
  framing: [`Content-Length: 00${body.length}`],
}));
add('Content-Length twice, different', { ...bad, framing: 'length' }, ({ framing, body }) => ({
  framing: [...framing, `Content-Length: ${body.length + 1}`],
  ends: true,
}));
add('Content-Length twice, the same', { ...any, framing: 'length' }, ({ framing }) => ({
  framing: [...framing, ...framing],
  ends: true,
}));
add('Content-Length and chunked', { ...any, framing: 'chunked' }, ({ framing }) => ({
  framing: ['Content-Length: 3', ...framing],
  ends: true,
}));
add('Content-Length with a space before the colon', { ...any, framing: 'length' }, ({ body }) => ({
  framing: [`Content-Length : ${body.length}`],
  ends: true,
}));
for (const coding of [
  'gzip, chunked',
  'gzip',
  'identity',
  'xchunked',
  'chunked, gzip',
  'chunked, chunked',
  '"chunked"',
  'chunked\0',
])
  add(`Transfer-Encoding: ${coding}`, { ...bad, framing: 'chunked' }, () => ({
    framing: [`Transfer-Encoding: ${coding}`],
    ends: true,
  }));
add('Transfer-Encoding empty', { ...any, framing: 'length' }, ({ framing }) => ({
  framing: ['Transfer-Encoding:', ...framing],
  ends: true,
}));
add('Transfer-Encoding in HTTP/1.0', { ...bad, framing: 'chunked' }, ({ start }) => ({
  start: start.replace('HTTP/1.1', 'HTTP/1.0'),
  ends: true,
}));

for (const [name, rest, line] of [
  ['no colon', bad, 'X-A'],
  ['an empty name', any, ': x'],
  ['a space before the colon', any, 'X-A : x'],
  ['a space in the name', any, 'X A: x'],
  ['a NUL in the value', bad, 'X-A: a\0b'],
  ['a bare CR in the value', any, 'X-A: a\rb'],
  ['a folded value', any, 'X-A: a\r\n b'],
  ['a bare LF', any, 'X-A: a\nX-B: b'],
  ['a control character in the value', any, 'X-A: a\x01b'],
  ['DEL in the value', any, 'X-A: a\x7fb'],
  ['bytes over 127 in the value', { outcome: 'whole' }, 'X-A: \xe4\xff'],
  [
    'Connection that names the framing',
    { outcome: 'whole' },
    'Connection: Content-Length, Transfer-Encoding',
  ],
  ['Upgrade', any, 'Upgrade: websocket\r\nConnection: Upgrade'],
  ['Trailer', { outcome: 'whole' }, 'Trailer: X-Sum'],
  ['more than 16 KiB', bad, `X-A: ${'a'.repeat(17_000)}`],
] as const)
  add(`a field with ${name}`, rest, ({ fields }) => ({
    fields: [...fields, line],
    ends: rest !== tail && rest.outcome !== 'whole',
  }));

for (const [name, rest, from, to] of [
  ['a chunk size with 0x', cut, /^/, '0x'],
  ['a chunk size with a minus', cut, /^/, '-'],
  ['a chunk size with a letter that is not hexadecimal', cut, /^([0-9a-f]+)/i, '$1g'],
  ['a chunk size that is too long', cut, /^/, 'fffffffffffffffff'],
  ['a chunk with a byte too many', cut, /\r\n/, '\r\nx'],
  ['a chunk size with a bare LF behind it', any, /\r\n/, '\n'],
] as const)
  add(name, { ...rest, framing: 'chunked' }, ({ body }) => ({ body: body.replace(from, to), ends: true }));
for (const [name, rest, last] of [
  ['left out', cut, ''],
  ['half of it', cut, '0\r\n'],
  ['a trailer', { outcome: 'whole' }, '0\r\nX-Sum: 1\r\n\r\n'],
  ['a broken trailer', any, '0\r\nno colon\r\n\r\n'],
] as const)
  add(`a last chunk with ${name}`, { ...rest, framing: 'chunked' }, () => ({ last, ends: true }));

add('a body cut short', { ...cut, framing: 'length' }, ({ body }) => ({
  body: body.slice(0, -1),
  ends: true,
}));
add('no body', { ...cut, framing: 'length' }, () => ({ body: '', ends: true }));
add('half a status line', bad, ({ start }) => ({ bytes: start.slice(0, 10), ends: true }));
add('nothing', bad, () => ({ bytes: '', ends: true }));

for (const [name, bytes] of [
  ['a second answer', unasked],
  ['half of a second answer', unasked.slice(0, 30)],
  ['a byte', 'x'],
  ['CRLF', '\r\n'],
  ['a last chunk', '0\r\n\r\n'],
  ['a 100', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['bytes of no protocol', '\0\xff\x16\x03'],
  ['five answers', unasked.repeat(5)],
] as const)
  add(`${name} behind it`, tail, ({ last }) => ({ last: last + bytes }));

// What is not sent, because these phases are known to get it wrong: undici does not tell the version of an answer.
const leftOut = [
  'a status line with HTTP/2.0',
  'a status line with HTTP/0.9',
  'a status line with RTSP/1.0',
  'Transfer-Encoding in HTTP/1.0',
];

/** By name. */
export const replyFlaws: ReadonlyMap<string, ReplyFlaw> = new Map(
  flaws.filter(([name]) => !leftOut.includes(name)),
);
