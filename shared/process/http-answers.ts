import type http from 'node:http';

/** A complete answer. */
export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  rawHeaders: string[];
  body: Buffer;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows which shape it expects.
  json(): any;
}

/**
 * Parses the complete answers received on one connection, including interim ones (1xx). Answers to HEAD cannot be
 * parsed: their Content-Length announces a body that does not follow.
 */
export function answersIn(text: string): Answer[] {
  const answers: Answer[] = [];
  let rest = text;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return answers;
    const [statusLine = '', ...lines] = rest.slice(0, end).split('\r\n');
    const rawHeaders = lines.flatMap((line) => [
      line.slice(0, line.indexOf(':')),
      line.slice(line.indexOf(':') + 1).trim(),
    ]);
    const headers: http.IncomingHttpHeaders = {};
    for (let i = 0; i < rawHeaders.length; i += 2)
      headers[rawHeaders[i]?.toLowerCase() as string] = rawHeaders[i + 1];
    const status = Number(statusLine.split(' ')[1]);
    const body = bodyOf(status, headers, rest.slice(end + 4));
    if (!body) return answers;
    answers.push(answerOf(status, headers, rawHeaders, Buffer.from(body.text, 'latin1')));
    rest = body.rest;
  }
}

/** Builds an answer from its parts. */
export function answerOf(
  status: number,
  headers: http.IncomingHttpHeaders,
  rawHeaders: string[],
  body: Buffer,
): Answer {
  const text = body.toString('utf8');
  return { status, headers, rawHeaders, body, text, json: () => JSON.parse(text) };
}

/** Splits the body of an answer from what follows it; undefined while it is incomplete. */
function bodyOf(
  status: number,
  headers: http.IncomingHttpHeaders,
  text: string,
): { text: string; rest: string } | undefined {
  if (status < 200 || status === 204 || status === 304) return { text: '', rest: text };
  if (headers['transfer-encoding'] !== 'chunked') {
    const length = Number(headers['content-length'] ?? text.length);
    return text.length < length ? undefined : { text: text.slice(0, length), rest: text.slice(length) };
  }
  let body = '';
  let from = 0;
  for (;;) {
    const line = text.indexOf('\r\n', from);
    if (line < 0) return undefined;
    const size = Number.parseInt(text.slice(from, line), 16);
    const next = line + 2 + size + 2;
    if (text.length < next) return undefined;
    if (size === 0) return { text: body, rest: text.slice(next) };
    body += text.slice(line + 2, line + 2 + size);
    from = next;
  }
}
