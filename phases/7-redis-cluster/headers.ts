import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { closeWhileDraining } from './drain.ts';
import type { Route } from './route.ts';
import { closeUnlessComplete } from './staged-close.ts';

// RFC 9110 7.6.1: fields that belong to one connection and are not forwarded, in either direction.
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

const NOT_TO_CLIENTS = new Set(HOP_BY_HOP);

const NOT_TO_SERVICES = new Set([
  ...HOP_BY_HOP,
  'expect', // the gateway sends 100 Continue itself
  'forwarded', // with x-forwarded-*: only the gateway sets these
  'host',
  'traceparent',
  'tracestate',
  'x-api-key',
  'x-real-ip',
  'x-request-id',
]);

/** The request header fields for the service, as a flat list of names and values. `viaName`: see loop.ts. */
export function requestHeaders(request: FastifyRequest, viaName: string): string[] {
  const { rawHeaders, headers, httpVersion } = request.raw;
  const listed = connectionOptions(headers.connection);
  const kept: string[] = [];
  // First: many servers ignore fields beyond a limit (Node: 1,000), and a client could push these past it by sending
  // many of its own.
  kept.push(...request.exchange.sender.forwarded);
  kept.push('x-forwarded-prefix', (request.exchange.route as Route).prefix);
  kept.push('x-request-id', request.id);
  kept.push(...(request.exchange.trace?.headers ?? []));
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const field = rawHeaders[i] as string;
    const lower = field.toLowerCase();
    // CGI-like servers read X_Forwarded_For as X-Forwarded-For, so both spellings are dropped.
    const name = lower.replaceAll('_', '-');
    if (NOT_TO_SERVICES.has(name) || name.startsWith('x-forwarded-')) continue;
    if (listed?.has(lower) || listed?.has(name)) continue;
    if (lower === 'content_length') continue; // not the length of this body
    kept.push(field, rawHeaders[i + 1] as string);
  }
  // Last: the members of Via are in the order of the hops (RFC 9110 7.6.3).
  kept.push('via', `${httpVersion} ${viaName}`);
  return kept;
}

/** The response header fields for the client: those of the service, and those that stages have set on `reply`. */
export function responseHeaders(status: number, headers: IncomingHttpHeaders, reply: FastifyReply): string[] {
  const own: Record<string, unknown> = reply.getHeaders();
  closeWhileDraining(reply, own);
  closeUnlessComplete(reply.request.raw, own);
  const kept = endToEnd(headers, own);
  for (const name in own) kept.push(name, String(own[name]));
  // A field line of its own beside those of the service, because the field is a list.
  const { timing } = reply.request.exchange;
  if (timing) kept.push('server-timing', timing.value());
  // Last: if Content-Disposition follows Content-Length, Node writes it in UTF-8 instead of latin1.
  // A 204 has none (RFC 9110 8.6).
  const length = headers['content-length'];
  if (length !== undefined && status !== 204) kept.push('content-length', String(Number(length)));
  return kept;
}

/** The end-to-end fields of a service without Content-Length and those in `own`, as a flat list of names and values. */
export function endToEnd(headers: IncomingHttpHeaders, own: Record<string, unknown>): string[] {
  const listed = connectionOptions(headers.connection);
  const kept: string[] = [];
  for (const name in headers) {
    if (NOT_TO_CLIENTS.has(name) || listed?.has(name) || Object.hasOwn(own, name)) continue;
    if (name === 'content-length') continue;
    const value = headers[name] as string | string[];
    if (typeof value === 'string') kept.push(name, value);
    else for (const line of value) kept.push(name, line);
  }
  return kept;
}

/** The field names that a Connection header lists. Null for the common values, which list none. */
function connectionOptions(connection: string | string[] | undefined): Set<string> | null {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return null;
  return new Set(membersOf(String(connection).toLowerCase()));
}

/** The members of a list (RFC 9110 5.6.1). Node joins repeated fields with commas. */
export function membersOf(field: string | string[] | undefined = ''): string[] {
  return String(field)
    .split(',')
    .map((member) => member.trim());
}
