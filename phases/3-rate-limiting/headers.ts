import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';

// RFC 9110 7.6.1: fields that speak of one connection and end with it, whichever way they travel.
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

// Beside the hop-by-hop fields: what the gateway answers itself (Expect), and what only it may say.
const NOT_TO_SERVICES = new Set([...HOP_BY_HOP, 'expect', 'forwarded', 'host', 'x-api-key', 'x-real-ip']);

/** The header fields of the request that the service gets, as a flat list of names and values. */
export function requestHeaders(request: FastifyRequest): string[] {
  const { rawHeaders, headers, httpVersion } = request.raw;
  const listed = connectionOptions(headers.connection);
  const kept: string[] = [];
  // First, because servers ignore what comes after so many fields: nobody can push these over that edge.
  // Behind trusted proxies: the client first, then every proxy on the way.
  kept.push('x-forwarded-for', request.ips?.toReversed().join(', ') ?? request.ip);
  kept.push('x-forwarded-proto', request.protocol);
  kept.push('x-forwarded-host', request.host);
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const field = rawHeaders[i] as string;
    // CGI-like servers cannot tell X_Forwarded_For from X-Forwarded-For, so neither do we.
    const name = field.toLowerCase().replaceAll('_', '-');
    if (NOT_TO_SERVICES.has(name) || name.startsWith('x-forwarded-') || listed?.has(name)) continue;
    kept.push(field, rawHeaders[i + 1] as string);
  }
  // Last: the members of Via stand in the order of the hops (RFC 9110 7.6.3).
  kept.push('via', `${httpVersion} phased-gateway`);
  return kept;
}

/** The header fields of the answer for the client: the service's, and what the stages set on `reply`. */
export function answerHeaders(headers: IncomingHttpHeaders, reply: FastifyReply): string[] {
  const own: Record<string, unknown> = reply.getHeaders();
  // While the gateway drains, the client must not send another request on this connection.
  if (!reply.server.server.listening) own.connection = 'close';
  const listed = connectionOptions(headers.connection);
  const kept: string[] = [];
  for (const name in headers) {
    if (NOT_TO_CLIENTS.has(name) || listed?.has(name) || Object.hasOwn(own, name)) continue;
    if (name === 'content-length') continue;
    const value = headers[name] as string | string[];
    if (typeof value === 'string') kept.push(name, value);
    else for (const line of value) kept.push(name, line);
  }
  for (const name in own) kept.push(name, String(own[name]));
  // Last, because Node garbles a Content-Disposition that follows the length: it reads the bytes as UTF-8.
  if (headers['content-length'] !== undefined) kept.push('content-length', headers['content-length']);
  return kept;
}

/** The field names a Connection header lists, or null for the usual ones that list none. */
function connectionOptions(connection: string | string[] | undefined): Set<string> | null {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return null;
  return new Set(
    String(connection)
      .toLowerCase()
      .split(',')
      .map((option) => option.trim()),
  );
}
