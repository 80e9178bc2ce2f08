import type { Request } from './messages.ts';
import type { Traffic } from './service.ts';

const longest = 3_000;

/** What a client sent and got. */
export interface Shown {
  requests: Request[];
  text: string;
  /** How its connection ended. */
  end: string;
}

/** The bytes of both sides as escaped text. */
export function describeBytes(clients: Shown[], traffic: Traffic[]): string {
  const parts = clients.flatMap(({ requests, text, end }, i) => [
    `Client ${i + 1} sends:`,
    escapeBytes(requests.map(({ bytes }) => bytes).join('')),
    `Client ${i + 1} gets${end && ` (${end})`}:`,
    escapeBytes(text),
  ]);
  const services = traffic.flatMap(({ connection, from, bytes }) => [
    `On connection ${connection} to the service, from the ${from}:`,
    escapeBytes(bytes),
  ]);
  return [...parts, ...services].join('\n');
}

/** Latin1 bytes as text: the lines of HTTP on lines of their own, everything else that is not printable as an escape. */
export function escapeBytes(bytes: string): string {
  const more = bytes.length - longest;
  const escaped = [...bytes.slice(0, longest)].map(escapeByte).join('');
  return `${escaped}${more > 0 ? ` … and ${more} bytes more` : ''}`.replaceAll(/^(?=.)/gm, '    ');
}

function escapeByte(byte: string): string {
  if (byte === '\n') return '\\n\n';
  if (byte === '\r') return '\\r';
  if (byte === '\\') return '\\\\';
  const code = byte.charCodeAt(0);
  return code < 32 || code > 126 ? `\\x${code.toString(16).padStart(2, '0')}` : byte;
}
