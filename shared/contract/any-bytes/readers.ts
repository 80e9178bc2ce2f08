/** The header of a message, strictly as RFC 9112 defines it. */
export interface Head {
  start: string;
  fields: Array<[name: string, value: string]>;
  /** Offset of the first byte behind it. */
  end: number;
}

/** Reading stopped because the bytes are not HTTP. */
export class NotHttp extends Error {}

/** Reads a header from `at`; undefined while it is incomplete. */
export function readHead(text: string, at: number): Head | undefined {
  const end = text.indexOf('\r\n\r\n', at);
  if (end < 0) return undefined;
  const [start = '', ...lines] = text.slice(at, end).split('\r\n');
  const fields = lines.map((line): [string, string] => {
    const [, name = '', value = ''] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([^\0\r\n]*?)[ \t]*$/.exec(line) ?? [];
    if (name === '') throw new NotHttp(`not a field: ${JSON.stringify(line)}`);
    return [name.toLowerCase(), value];
  });
  return { start, fields, end: end + 4 };
}

/** The values of all fields with this name. */
export function valuesOf({ fields }: Head, name: string): string[] {
  return fields.flatMap(([it, value]) => (it === name ? [value] : []));
}

/** How the body of a message ends: by its length in bytes, by its last chunk, or undefined without either field. */
export function framingOf(head: Head): number | 'chunked' | undefined {
  const lengths = valuesOf(head, 'content-length');
  const codings = valuesOf(head, 'transfer-encoding');
  if (lengths.length + codings.length > 1) throw new NotHttp('more than one framing');
  if (lengths.length === 1 && !/^\d+$/.test(lengths[0] ?? '')) throw new NotHttp('not a length');
  if (codings.length === 1 && codings[0] !== 'chunked') throw new NotHttp('not chunked');
  return lengths.length === 1 ? Number(lengths[0]) : codings.length === 1 ? 'chunked' : undefined;
}

/** A body, or the part of it that has arrived. */
export interface Body {
  text: string;
  isComplete: boolean;
  end: number;
}

/** Reads a body with this framing from `at`. Throws a NotHttp for chunks that RFC 9112 7.1 does not allow. */
export function readBody(text: string, at: number, framing: number | 'chunked'): Body {
  if (framing !== 'chunked') {
    const end = Math.min(text.length, at + framing);
    return { text: text.slice(at, end), isComplete: end === at + framing, end };
  }
  let body = '';
  let from = at;
  for (;;) {
    const lineEnd = text.indexOf('\r\n', from);
    if (lineEnd < 0) {
      if (text.length - from > 20) throw new NotHttp('a chunk line without end');
      return { text: body, isComplete: false, end: text.length };
    }
    const line = text.slice(from, lineEnd);
    if (!/^[0-9a-f]{1,8}$/i.test(line)) throw new NotHttp(`not a chunk size: ${JSON.stringify(line)}`);
    const size = Number.parseInt(line, 16);
    const dataEnd = lineEnd + 2 + size;
    if (size > 0) body += text.slice(lineEnd + 2, dataEnd);
    if (text.length < dataEnd + 2) return { text: body, isComplete: false, end: text.length };
    if (text.slice(dataEnd, dataEnd + 2) !== '\r\n') throw new NotHttp('no CRLF behind a chunk');
    from = dataEnd + 2;
    if (size === 0) return { text: body, isComplete: true, end: from };
  }
}

/** An answer as the client got it. */
export interface ReadAnswer {
  head: Head;
  status: number;
  /** Interim answers before it. */
  interims: Head[];
  body: string;
  /** False while bytes are missing. Null when only the end of the connection can tell. */
  isComplete: boolean | null;
  end: number;
}

/** Reads the answer to a request with this method from `at`; undefined when its header is incomplete. */
export function readAnswer(text: string, at: number, method: string): ReadAnswer | undefined {
  const interims: Head[] = [];
  let from = at;
  for (;;) {
    const head = readHead(text, from);
    if (!head) return undefined;
    const status = Number(/^HTTP\/1\.1 ([1-5]\d\d) [^\0\r\n]*$/.exec(head.start)?.[1]);
    if (Number.isNaN(status)) throw new NotHttp(`not a status line: ${JSON.stringify(head.start)}`);
    if (status >= 100 && status < 200) {
      if (status === 101) throw new NotHttp('a 101');
      interims.push(head);
      from = head.end;
      continue;
    }
    const framing = framingOf(head);
    const none = { head, status, interims, body: '', isComplete: true, end: head.end };
    if (status === 204 && framing !== undefined) throw new NotHttp('a 204 with a framing');
    if (method === 'HEAD' || status === 204 || status === 304) return none;
    if (framing === undefined) {
      return { ...none, body: text.slice(head.end), isComplete: null, end: text.length };
    }
    const body = readBody(text, head.end, framing);
    return { ...none, body: body.text, isComplete: body.isComplete, end: body.end };
  }
}
