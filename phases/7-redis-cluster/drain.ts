import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply } from 'fastify';

// Requests still in flight this long after the drain has begun are cut off.
const DRAIN_MS = 10_000;

// A connection without a request is closed this long after the drain has begun, because its next one may be on its way.
const NEXT_REQUEST_MS = 500;

const IDLE_CHECK_MS = 50;

/** What Node's HTTP server notes on a connection. */
interface Connection extends Socket {
  /** The response in progress. */
  _httpMessage?: ServerResponse | null;
  /** `incoming`: the request whose body arrives. */
  parser?: { incoming: IncomingMessage | null } | null;
}

/**
 * Prepares a server that does not listen yet, and returns the function that stops it. For `delayMs` it serves requests
 * as before, while load balancers notice. Then it drains: no new connections, requests in flight are finished, idle
 * connections are closed. The promise resolves when no connection is left; the process must exit then, because the
 * timers go on.
 */
export function prepareDrain(gateway: FastifyInstance, delayMs: number): () => Promise<void> {
  const { server } = gateway;
  const connections = new Set<Connection>();
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });

  // Node counts a connection as idle when its response has ended here, although the last bytes may not have been sent.
  const closeIdleConnections = server.closeIdleConnections.bind(server);
  server.closeIdleConnections = () => {
    if (![...connections].some(hasUnsentResponse)) closeIdleConnections();
  };
  const closeUnused = () => {
    for (const connection of connections) if (isUnused(connection)) connection.destroy();
  };

  // Fastify waits for this hook. Then it closes the listener, and Node the connections that are idle at this moment.
  gateway.addHook('preClose', async () => {
    if (delayMs > 0) await sleep(delayMs);
    setTimeout(() => server.closeAllConnections(), DRAIN_MS);
    setTimeout(() => setInterval(closeUnused, IDLE_CHECK_MS), NEXT_REQUEST_MS);
  });
  // Fastify runs this hook before those that were added earlier. The last connections are closed then, but their responses
  // learn it two turns of the event loop later. Until then the pools must not end their calls.
  gateway.addHook('onClose', () => new Promise((resolve) => setImmediate(() => setImmediate(resolve))));
  return () => gateway.close();
}

function hasUnsentResponse({ writableLength, _httpMessage }: Connection): boolean {
  return writableLength > 0 && _httpMessage?.finished !== false;
}

/** True also for connections that Node does not count as idle: no request yet, or half a request header. */
function isUnused({ writableLength, _httpMessage, parser }: Connection): boolean {
  return !_httpMessage && writableLength === 0 && parser?.incoming?.complete !== false;
}

/** Adds `Connection: close` while the gateway drains, so that the client sends no further request on this connection. */
export function closeWhileDraining(reply: FastifyReply, headers: Record<string, unknown>): void {
  if (!reply.server.server.listening) headers.connection = 'close';
}
