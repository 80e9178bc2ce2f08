import { type Dispatcher, errors, Pool } from 'undici';
import * as z from 'zod';
import { connectWithin } from './connect.ts';
import { BAD_REQUEST, Problem } from './problem.ts';
import { ReusingClient } from './reused-connection.ts';

/** One service of the config. `timeoutMs` runs from the complete request to the headers of the response. */
const serviceSchema = z.strictObject({
  url: z.string().refine((url) => {
    if (!URL.canParse(url)) return false;
    const { protocol, username, password, search, hash } = new URL(url);
    return /^https?:$/.test(protocol) && username + password + search + hash === '';
  }, 'must be an http:// or https:// URL without user name, query or fragment'),
  timeoutMs: z.int().positive().max(86_400_000), // a day; above 2^31 - 1 ms setTimeout fires at once
});

const nameSchema = z
  .string()
  .regex(/^[\w.-]{1,64}$/, 'a name is 1 to 64 letters, digits, dots, dashes or underscores');

/** The services of the config, by name. */
export const servicesSchema = z.record(nameSchema, serviceSchema);

type Service = z.infer<typeof serviceSchema>;

// A service that sends nothing for this long inside a body counts as cut short. Event streams may pause.
const SERVICE_SILENCE_MS = 300_000;

// A connection gets no new request when it is this old, so that the gateway follows a name that leads elsewhere.
const LONGEST_LIFE_MS = 60_000;

// Connections that were opened together live up to this much shorter, so that they are not renewed in the same instant.
const LIFE_SPREAD_MS = 12_000;

const UNREACHABLE = new Problem(
  'forward',
  502,
  'upstream-unreachable',
  'Service unreachable',
  'No connection to the service could be made. Nothing was sent.',
);

/** The connection ended before the response was complete. */
export const RESET = new Problem(
  'forward',
  502,
  'upstream-reset',
  'Service closed the connection',
  'The service closed the connection before it sent a response. It is unknown whether it processed the request.',
);

/** The system gives this process no descriptor, port or memory for a connection. */
export const EXHAUSTED = new Problem(
  'forward',
  503,
  'gateway-exhausted',
  'Gateway out of resources',
  'The gateway has no resources left to open a connection. Nothing was sent. Try again shortly.',
);

// The errors of connect() that say nothing about the service.
const LOCAL_ERRORS = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);

/** The response is not HTTP/1.1 as RFC 9112 defines it. */
export const INVALID = new Problem(
  'forward',
  502,
  'upstream-invalid',
  'Invalid response from the service',
  'The response of the service is not valid HTTP, or its headers exceed 16 KiB.',
);

/** The response headers did not arrive within `timeoutMs`. */
export const TIMEOUT = new Problem(
  'forward',
  504,
  'upstream-timeout',
  'Service timed out',
  'The service did not respond in time. It is unknown whether it processed the request.',
);

/** Aborts a call whose client has closed its connection. It says nothing about the service. */
export const CLIENT_ABORT = new Error('the client closed its connection');

const RETIRED = new errors.InformationalError('the connection is old');

/** Where the calls to one service go, and how long each may take. */
export interface Upstream {
  dispatcher: Dispatcher;
  timeoutMs: number;
}

/** Opens a pool of connections to one service. TLS certificates are verified, which is Node's default. */
export function openPool(service: Service): Pool {
  const pool = new Pool(new URL(service.url).origin, {
    connect: connectWithin(service.timeoutMs),
    factory: (origin, options) => new ReusingClient(origin, options),
    headersTimeout: 0, // Call has a timer of its own, because this one fires up to a second late
    bodyTimeout: SERVICE_SILENCE_MS,
  });
  pool.on('connect', (origin, [, client]) => client && renewInTime(pool, origin, client));
  return pool;
}

/**
 * Takes the client of a new connection out of the pool before the connection is too old. The pool opens another one when
 * it needs it. The option `clientTtl` of Pool would close all old connections in the same instant, and keep a closure per
 * request as long as one of them is busy.
 */
function renewInTime(pool: Pool, origin: URL, client: Dispatcher): void {
  const retire = () => {
    pool.emit('connectionError', origin, [pool, client], RETIRED); // on this event the pool forgets the client
    client.close(() => {}); // when the response in progress has ended
  };
  const timer = setTimeout(retire, LONGEST_LIFE_MS - Math.random() * LIFE_SPREAD_MS).unref();
  client.once('disconnect', () => clearTimeout(timer));
}

/** Maps an error of undici to a Problem. `connected`: undici had a connection for the call. */
export function problemOf(error: Error & { code?: string }, connected: boolean): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof errors.ConnectTimeoutError) return TIMEOUT;
  if (error instanceof errors.InvalidArgumentError) return BAD_REQUEST;
  if (LOCAL_ERRORS.has(error.code ?? '')) return EXHAUSTED;
  if (!connected) return UNREACHABLE;
  if (
    error instanceof errors.HTTPParserError ||
    error instanceof errors.HeadersOverflowError ||
    error instanceof errors.ResponseContentLengthMismatchError || // two different Content-Length fields
    error.message.startsWith('bad ') || // undici: an unexpected response or upgrade
    error.code === 'ERR_INVALID_CHAR' // Node: a header value that must not be written
  ) {
    return INVALID;
  }
  return RESET;
}
