import type { Exchange } from '../../process/evidence.ts';

// Header fields that curl or Node add themselves. They are not needed to repeat the request.
const ownFields = /^(?:content-length|transfer-encoding)$/i;
const plainTarget = /^\/[\w\-.~!$&'()*+,;=:@/?%]*$/;
const dotSegment = /(?:^|\/)\.{1,2}(?:[/?]|$)/;
const bodyShown = 400;

/** The curl command that sends the same request again; undefined when curl cannot send it. */
export function toCurl({ sent, sentBytes, port }: Exchange): string | undefined {
  if (sent.length < sentBytes) return undefined;
  const end = sent.indexOf('\r\n\r\n');
  const [requestLine = '', ...lines] = sent.slice(0, end).split('\r\n');
  const [, method = '', target = '', version] = /^([A-Z-]+) (\S+) HTTP\/1\.([01])$/.exec(requestLine) ?? [];
  const fields = lines.map((line) =>
    /^([\w!#$%&'*+.^`|~-]+): ?((?:[!-~\x80-\xff](?:[ -~\x80-\xff]*[!-~\x80-\xff])?)?)$/.exec(line),
  );
  if (end < 0 || version === undefined || fields.includes(null)) return undefined;

  const named = (name: string) => fields.filter((field) => field?.[1]?.toLowerCase() === name);
  if (named('host').length !== 1 || named('content-length').length + named('transfer-encoding').length > 1)
    return undefined;
  const body = bodyOf(
    sent.slice(end + 4),
    named('content-length')[0]?.[2],
    named('transfer-encoding')[0]?.[2],
  );
  if (body === undefined || body.length > bodyShown || /[^ -~\n\x80-\xff]/.test(body)) return undefined;

  const isFramed = named('content-length').length + named('transfer-encoding').length > 0;
  const hasType = named('content-type').length > 0;
  const words = [
    '-i',
    ...(version === '0' ? ['--http1.0'] : []),
    ...(dotSegment.test(target) ? ['--path-as-is'] : []),
    ...(method === 'HEAD' ? ['-I'] : method === 'GET' && !isFramed ? [] : ['-X', method]),
    ...fields.flatMap((field) => fieldWords(field?.[1] ?? '', field?.[2] ?? '', port)),
    ...(named('transfer-encoding').length > 0 ? ['-H', 'Transfer-Encoding: chunked'] : []),
    ...(isFramed && !hasType ? ['-H', 'Content-Type:'] : []),
    ...(isFramed ? ['--data-raw', body] : []),
    ...(plainTarget.test(target) ? [] : ['--request-target', target]),
    `http://127.0.0.1:${port}${plainTarget.test(target) ? target : '/'}`,
  ];
  return ['curl', ...words.map(quote)].join(' ');
}

/** Bytes as lines of visible characters: the others are escaped, and long lines are shortened. */
export function spellOut(bytes: string, total: number): string[] {
  const lines = bytes.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  const shown = lines.slice(0, 30).map((line) => shorten(escapeOthers(line)));
  const missing = total - lines.slice(0, 30).join('').length;
  return missing > 0 ? [...shown, `… ${missing} more bytes`] : shown;
}

/** Cuts a text after `most` characters and adds its length when it was longer. */
export function shorten(text: string, most = 300): string {
  return text.length > most ? `${text.slice(0, most)}… (${text.length} characters)` : text;
}

/** Writes every byte but visible ASCII as an escape of `$'…'` in bash. */
export function escapeOthers(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('\r', '\\r')
    .replaceAll('\n', '\\n')
    .replaceAll(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function fieldWords(name: string, value: string, port: number): string[] {
  if (ownFields.test(name)) return [];
  if (/^host$/i.test(name) && value === `127.0.0.1:${port}`) return [];
  if (/^connection$/i.test(name) && /^(?:close|keep-alive)$/.test(value)) return [];
  // For curl "Name:" removes a field, and "Name;" sends it empty.
  return ['-H', value === '' ? `${name};` : `${name}: ${value}`];
}

/** The body in these bytes; undefined unless it is complete and nothing follows it. */
function bodyOf(bytes: string, length: string | undefined, coding: string | undefined): string | undefined {
  if (coding !== undefined) {
    const chunks = /^(?:([\da-f]+)\r\n([^\r\n]*)\r\n)*?0\r\n\r\n$/i.test(bytes);
    if (coding !== 'chunked' || !chunks) return undefined;
    return [...bytes.matchAll(/[\da-f]+\r\n([^\r\n]*)\r\n/gi)].map(([, data]) => data).join('');
  }
  return bytes.length === Number(length ?? 0) ? bytes : undefined;
}

/** Quotes a word for sh, where possible in a form that other shells accept too. Other bytes than ASCII need bash or zsh. */
function quote(word: string): string {
  if (/[^\n -~]/.test(word)) return `$'${escapeOthers(word).replaceAll("'", "\\'")}'`;
  if (/^[\w./:@%+=,-]+$/.test(word)) return word;
  if (!/["$`\\!]/.test(word)) return `"${word}"`;
  return `'${word.replaceAll("'", "'\\''")}'`;
}
