import { type IncomingHttpHeaders, type ServerResponse, STATUS_CODES, validateHeaderValue } from 'node:http';
import { endToEnd } from './headers.ts';

/**
 * Passes an interim response of a service on, such as 103 Early Hints (RFC 9110 15.2). HTTP/1.0 has none. Throws when
 * Node does not accept a field.
 */
export function sendInterim(status: number, headers: IncomingHttpHeaders, response: ServerResponse): void {
  if (response.req.httpVersion === '1.0') return;
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`];
  const fields = endToEnd(headers, {});
  for (let i = 0; i < fields.length; i += 2) {
    const [name = '', value = ''] = fields.slice(i, i + 2);
    validateHeaderValue(name, value);
    head.push(`${name}: ${value}`);
  }
  response.socket?.write(`${head.join('\r\n')}\r\n\r\n`, 'latin1');
}
