/** A request in parts. A flaw changes some of them. The parts become lines with CRLF, then the body follows. */
export interface Message {
  start: string;
  host: string[];
  fields: string[];
  /** Content-Length or Transfer-Encoding, if any. */
  framing: string[];
  /** The body, in chunks if it is chunked. */
  body: string;
  /** The last chunk with the trailers, or nothing. */
  last: string;
}

/** What is wrong with a request, and what a gateway owes then. */
export interface RequestFlaw {
  /**
   * `refused`: the gateway answers 4xx, 501 or 505, or closes the connection, and no service sees the request. `broken`: the
   * header is good and the body is not. A service may see its beginning, but never a complete request. `either`: RFC 9112
   * allows both refusing and serving.
   */
  fate: 'served' | 'refused' | 'broken' | 'either';
  /** The connection after a refusal. When it closes, nothing that follows may be executed. */
  connection: 'closes' | 'stays' | 'any';
  /** The framing of the request, where the flaw needs one. */
  framing?: 'none' | 'length' | 'chunked';
  /** The gateway may wait for more bytes. */
  mayWait?: true;
  write(message: Message): Partial<Message>;
}

type Rest = Omit<RequestFlaw, 'write'>;

const refused: Rest = { fate: 'refused', connection: 'any' };
const closes: Rest = { fate: 'refused', connection: 'closes' };
const stays: Rest = { fate: 'refused', connection: 'stays' };
const either: Rest = { fate: 'either', connection: 'any' };
const broken: Rest = { fate: 'broken', connection: 'closes', framing: 'chunked', mayWait: true };
const served: Rest = { fate: 'served', connection: 'any' };
const flaws: Array<[string, RequestFlaw]> = [];

function add(name: string, rest: Rest, write: RequestFlaw['write']): void {
  flaws.push([name, { ...rest, write }]);
}

// RFC 9112 6.3: a Content-Length is 1*DIGIT. Any other value is an unrecoverable error.
for (const value of [
  '+5',
  '-5',
  '-0',
  '5 5',
  '5,5',
  '5, 6',
  '0x5',
  '5a',
  '',
  ' ',
  '5.0',
  '1e1',
  '5;',
  '"5"',
  '\u00b2',
  '5\v',
  '\v5',
  '5\0',
  '1_0',
  '18446744073709551621',
  '99999999999999999999',
]) {
  const rest = value === '5,5' ? either : closes; // RFC 9110 8.6 allows a list of equal values to be read as one
  add(`Content-Length: ${value}`, { ...rest, framing: 'length' }, () => ({
    framing: [`Content-Length: ${value}`],
    ...(value === '5,5' ? { body: 'equal' } : {}),
  }));
}
add('Content-Length twice, different', { ...closes, framing: 'length' }, ({ framing, body }) => ({
  framing: [...framing, `Content-Length: ${body.length + 1}`],
}));
add('Content-Length 0 and another', { ...closes, framing: 'length' }, ({ framing }) => ({
  framing: ['Content-Length: 0', ...framing],
}));
add('Content-Length twice, the same', { ...refused, framing: 'length' }, ({ framing }) => ({
  framing: [...framing, ...framing],
}));
for (const line of [
  'Content-Length : 5',
  'Content-Length\t: 5',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding\t: chunked',
])
  add(line, { ...closes, framing: line[0] === 'C' ? 'length' : 'chunked' }, ({ body }) => ({
    framing: [line.replace('5', String(body.length))],
  }));

// RFC 9112 6.1: a message with both fields may be an attempt at smuggling.
add(
  'Content-Length of the chunks, and chunked',
  { ...closes, framing: 'chunked' },
  ({ framing, body, last }) => ({
    framing: [`Content-Length: ${body.length + last.length}`, ...framing],
  }),
);
add(
  'chunked, and Content-Length of the first chunk line',
  { ...closes, framing: 'chunked' },
  ({ framing, body }) => ({
    framing: [...framing, `Content-Length: ${body.indexOf('\n') + 1}`],
  }),
);
add('Content-Length 0, and chunked', { ...closes, framing: 'chunked' }, ({ framing }) => ({
  framing: ['Content-Length: 0', ...framing],
}));
add('chunked, and Content-Length of a plain body', { ...closes, framing: 'length' }, ({ framing }) => ({
  framing: ['Transfer-Encoding: chunked', ...framing],
}));
for (const coding of [
  'xchunked',
  'identity',
  'gzip',
  'chunked, gzip',
  'chunked, identity',
  'chunked;q=1',
  '"chunked"',
  'chunked,',
  'chunke\rd',
  'chunked\0',
  'chun ked',
  'cow',
  '\vchunked',
  'chunked\v',
  'chunKEd, cow',
])
  add(`Transfer-Encoding: ${coding}`, { ...closes, framing: 'chunked' }, () => ({
    framing: [`Transfer-Encoding: ${coding}`],
  }));
for (const coding of ['gzip, chunked', 'chunked, chunked', 'identity, chunked', ', chunked'])
  add(`Transfer-Encoding: ${coding}`, { ...refused, framing: 'chunked' }, () => ({
    framing: [`Transfer-Encoding: ${coding}`],
  }));
for (const [name, lines] of [
  ['identity, then chunked', ['Transfer-Encoding: identity', 'Transfer-Encoding: chunked']],
  ['chunked, then identity', ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity']],
  ['chunked, then chunked', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
] as const)
  add(`Transfer-Encoding twice: ${name}`, { ...refused, framing: 'chunked' }, () => ({
    framing: [...lines],
  }));
add('Transfer-Encoding empty', { ...closes, framing: 'none' }, () => ({ framing: ['Transfer-Encoding:'] }));
add('Transfer-Encoding empty, and a length', { ...closes, framing: 'length' }, ({ framing }) => ({
  framing: ['Transfer-Encoding: ', ...framing],
}));
add('Transfer-Encoding folded', { ...either, framing: 'chunked' }, () => ({
  framing: ['Transfer-Encoding:', ' chunked'],
}));
add('Transfer-Encoding in HTTP/1.0', { ...closes, framing: 'chunked' }, ({ start }) => ({
  start: start.replace(/1\.1$/, '1.0'),
}));
add('Transfer-Encoding in HTTP/1.0, kept alive', { ...closes, framing: 'chunked' }, ({ start, fields }) => ({
  start: start.replace(/1\.1$/, '1.0'),
  fields: [...fields, 'Connection: keep-alive'],
}));

// RFC 9112 7.1: chunk-size is 1*HEXDIG, and chunk lines and data end with CRLF.
const firstSize = /^[0-9a-f]+/i;
for (const [name, change] of [
  ['0x before it', (size: string) => `0x${size}`],
  ['a minus', (size: string) => `-${size}`],
  ['a plus', (size: string) => `+${size}`],
  ['a space before it', (size: string) => ` ${size}`],
  ['an underscore', (size: string) => `0_${size}`],
  ['no digits', () => ''],
  ['a letter that is not hexadecimal', (size: string) => `${size}g`],
  ['a quotation mark', (size: string) => `"${size}`],
  ['17 digits', () => 'fffffffffffffffff'],
  ['2 to the power of 64 added', (size: string) => `1${size.padStart(16, '0')}`],
  ['2 to the power of 32 added, wide', (size: string) => `100000000${size.padStart(16, '0')}`],
  ['a NUL', (size: string) => `${size}\0`],
  ['a bare CR and a letter behind it', (size: string) => `${size}\rx`],
  ['a bare LF in its extension', (size: string) => `${size};a\nb`],
  ['a bare CR in its extension', (size: string) => `${size};a\rb`],
] as const)
  add(`a chunk size with ${name}`, broken, ({ body }) => ({
    body: body.replace(firstSize, change),
  }));
for (const [name, change] of [
  ['a space behind it', (size: string) => `${size} `],
  ['a tab behind it', (size: string) => `${size}\t`],
] as const)
  add(`a chunk size with ${name}`, { ...either, framing: 'chunked' }, ({ body }) => ({
    body: body.replace(firstSize, change),
  }));
add('a chunk size with a bare LF behind it', broken, ({ body }) => ({ body: body.replace(/\r\n/, '\n') }));
add('a chunk size with a bare CR behind it', broken, ({ body }) => ({ body: body.replace(/\r\n/, '\r') }));
add('a chunk without CRLF behind it', broken, ({ body }) => ({ body: body.slice(0, -2) }));
add('a chunk with a byte too many', broken, ({ body }) => ({ body: body.replace(/\r\n/, '\r\nx') }));
add('a chunk with a byte too few', broken, ({ body }) => ({ body: body.replace(/\r\n./s, '\r\n') }));
for (const [name, last] of [
  ['left out', ''],
  ['bare LF', '0\n\n'],
  ['one CRLF', '0\r\n'],
  ['a trailer without a colon', '0\r\nno colon\r\n\r\n'],
  ['a trailer that is a request', '0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
] as const)
  add(`a last chunk with ${name}`, broken, () => ({ last }));
for (const trailer of [
  'Content-Length: 5',
  'Transfer-Encoding: chunked',
  'Host: other',
  'X-Forwarded-For: 1.2.3.4',
])
  add(`a trailer ${trailer}`, { ...either, framing: 'chunked' }, () => ({ last: `0\r\n${trailer}\r\n\r\n` }));

// RFC 9112 3: the request line.
for (const [name, rest, change] of [
  ['a lower-case method', refused, (line: string) => line.toLowerCase().replace(/http(?=\S*$)/, 'HTTP')],
  ['an unknown method', either, (line: string) => line.replace(/^\S+/, 'FOO')],
  ['a method with a bracket', refused, (line: string) => line.replace(/^\S+/, 'GE(T')],
  ['a method with a space', refused, (line: string) => line.replace(/^\S+/, 'GE T')],
  ['an empty method', refused, (line: string) => line.replace(/^\S+/, '')],
  ['a long method', either, (line: string) => line.replace(/^\S+/, 'A'.repeat(300))],
  ['CONNECT', refused, (line: string) => line.replace(/^\S+/, 'CONNECT')],
  ['TRACE', refused, (line: string) => line.replace(/^\S+/, 'TRACE')],
  ['two spaces', either, (line: string) => line.replace(' ', '  ')],
  ['a tab for a space', either, (line: string) => line.replace(' ', '\t')],
  ['a space at its end', either, (line: string) => `${line} `],
  ['a word too many', refused, (line: string) => `${line} HTTP/1.1`],
  ['a NUL in its target', refused, (line: string) => line.replace(/ HTTP(?=\S*$)/, '\0 HTTP')],
  ['a CR in its target', refused, (line: string) => line.replace(/ HTTP(?=\S*$)/, '\rx HTTP')],
  ['a space in its target', refused, (line: string) => line.replace(/ HTTP(?=\S*$)/, ' x HTTP')],
  ['a fragment', stays, (line: string) => line.replace(/ HTTP(?=\S*$)/, '#x HTTP')],
  ['a backslash', stays, (line: string) => line.replace(' /', ' /\\')],
  ['a dot segment', stays, (line: string) => line.replace(' /', ' /../')],
  ['an escaped dot segment', stays, (line: string) => line.replace(' /', ' /%2e%2E/')],
  ['no route', stays, (line: string) => line.replace(' /', ' /nowhere/')],
  ['a broken escape', stays, (line: string) => line.replace(' /', ' /%zz/')],
  ['an absolute target', refused, (line: string) => line.replace(' /', ' http://a/')],
  ['a target without a slash', refused, (line: string) => line.replace(' /', ' ')],
  ['an asterisk', refused, (line: string) => line.replace(/ \S+/, ' *')],
  ['an authority', refused, (line: string) => line.replace(/ \S+/, ' a:80')],
  ['HTTP/0.9', refused, (line: string) => line.replace(/1\.1$/, '0.9')],
  ['HTTP/1.2', refused, (line: string) => line.replace(/1\.1$/, '1.2')],
  ['HTTP/2.0', refused, (line: string) => line.replace(/1\.1$/, '2.0')],
  ['HTTP/1.10', refused, (line: string) => line.replace(/1\.1$/, '1.10')],
  ['HTTP/01.1', refused, (line: string) => line.replace(/1\.1$/, '01.1')],
  ['HTTP/1', refused, (line: string) => line.replace(/1\.1$/, '1')],
  ['HTTP/1,1', refused, (line: string) => line.replace(/1\.1$/, '1,1')],
  ['HTTP/-1.1', refused, (line: string) => line.replace(/1\.1$/, '-1.1')],
  ['http/1.1', refused, (line: string) => line.replace(/HTTP(?=\S*$)/, 'http')],
  ['HTTPS/1.1', refused, (line: string) => line.replace(/HTTP(?=\S*$)/, 'HTTPS')],
  ['RTSP/1.0', refused, (line: string) => line.replace(/HTTP\S*$/, 'RTSP/1.0')],
  ['ICE/1.0', refused, (line: string) => line.replace(/HTTP\S*$/, 'ICE/1.0')],
  ['no version', refused, (line: string) => line.replace(/ HTTP\S*$/, '')],
  ['an empty line before it', either, (line: string) => `\r\n${line}`],
  ['a bare LF before it', either, (line: string) => `\n${line}`],
  ['a space before it', refused, (line: string) => ` ${line}`],
  ['a NUL before it', refused, (line: string) => `\0${line}`],
  ['a byte order mark before it', refused, (line: string) => `\xef\xbb\xbf${line}`],
  ['the preface of HTTP/2 before it', refused, (line: string) => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${line}`],
  ['an answer before it', refused, (line: string) => `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n${line}`],
  ['a TLS handshake before it', refused, (line: string) => `\x16\x03\x01\x00\x05hello${line}`],
] as const)
  add(`a request line with ${name}`, rest, ({ start }) => ({ start: change(start) }));

// RFC 9112 3.2: exactly one valid Host.
add('no Host', stays, () => ({ host: [] }));
add('two Host fields', stays, ({ host }) => ({ host: [...host, 'Host: b'] }));
add('two equal Host fields', stays, ({ host }) => ({ host: [...host, ...host] }));
for (const value of ['a b', 'a,b', 'a@b', 'a/b', 'a?b', 'a#b', 'a\\b', '[a', 'a:b'])
  add(`Host: ${value}`, refused, () => ({ host: [`Host: ${value}`] }));
add('Host with a NUL', refused, () => ({ host: ['Host: a\0'] }));
add('Host with a space before the colon', refused, () => ({ host: ['Host : a'] }));
add('Host folded', either, () => ({ host: ['Host:', ' a'] }));

// RFC 9112 5: field lines.
for (const [name, rest, line] of [
  ['no colon', refused, 'X-A'],
  ['an empty name', refused, ': x'],
  ['a space before the colon', refused, 'X-A : x'],
  ['a space in the name', refused, 'X A: x'],
  ['a bracket in the name', refused, 'X(A: x'],
  ['a quotation mark in the name', refused, 'X"A: x'],
  ['a control character in the name', refused, 'X\x01A: x'],
  ['a byte over 127 in the name', refused, 'X\xe4: x'],
  ['a NUL in the name', refused, 'X\0A: x'],
  ['a NUL in the value', refused, 'X-A: a\0b'],
  ['a bare CR in the value', refused, 'X-A: a\rb'],
  ['a bare CR and a second field', refused, 'X-A: a\rTransfer-Encoding: chunked'],
  ['a control character in the value', either, 'X-A: a\x01b'],
  ['DEL in the value', either, 'X-A: a\x7fb'],
  ['a folded value', either, 'X-A: a\r\n b'],
  ['a folded value with a tab', either, 'X-A: a\r\n\tb'],
  ['a folded Content-Length', either, 'X-A: a\r\n Content-Length: 70'],
  ['a bare LF', either, 'X-A: a\nX-B: b'],
  ['more than 16 KiB', closes, `X-A: ${'a'.repeat(17_000)}`],
  ['another expectation', either, 'Expect: 200-ok'],
] as const)
  add(`a field with ${name}`, rest, ({ fields }) => ({ fields: [...fields, line] }));
add('a space before the first field', refused, ({ host }) => ({ host: [` ${host[0]}`] }));
add('a bare LF behind the request line', either, ({ start, host }) => ({
  start: `${start}\n${host[0]}`,
  host: [],
}));
add('a bare CR behind the request line', refused, ({ start, host }) => ({
  start: `${start}\r${host[0]}`,
  host: [],
}));

add('an offer to upgrade', served, ({ fields }) => ({
  fields: [...fields, 'Upgrade: h2c', 'Connection: Upgrade', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'],
}));

// What is not sent, because these phases are known to get it wrong.
const leftOut = [
  // Node closes the connection at once, and a request before it gets no answer.
  'a request line with CONNECT',
  // Node reads these as HTTP/1.0 and does not tell the name of the protocol.
  'a request line with RTSP/1.0',
  'a request line with ICE/1.0',
];

/** By name. */
export const requestFlaws: ReadonlyMap<string, RequestFlaw> = new Map(
  flaws.filter(([name]) => !leftOut.includes(name)),
);
