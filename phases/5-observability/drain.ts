import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply } from 'fastify';

// Requests still in flight this long after the signal to stop are cut off.
const DRAIN_MS = 10_000;

// A connection that has carried no request is closed this long after the signal, because its first one may still arrive.
const FIRST_REQUEST_MS = 500;

const IDLE_CHECK_MS = 50;

/**
 * Prepares a server that does not listen yet, and returns the function that stops it: no new connections, requests
 * in flight are finished, idle connections are closed. Its promise resolves when no connection is left; the process
 * must exit then, because the timers go on.
 */
export function prepareDrain(gateway: FastifyInstance): () => Promise<void> {
  const { server } = gateway;
  const connections = new Set<Socket>();
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });

  return async () => {
    setTimeout(() => server.closeAllConnections(), DRAIN_MS);
    // closeIdleConnections() skips connections that have never carried a request.
    setTimeout(() => {
      for (const socket of connections) if (socket.bytesRead === 0) socket.destroy();
    }, FIRST_REQUEST_MS).unref();
    // close() closes the connections that are idle now. Those that become idle later would wait for their keep-alive timeout.
    setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
    await gateway.close();
  };
}

/** Adds `Connection: close` while the gateway drains, so that the client sends no further request on this connection. */
export function closeWhileDraining(reply: FastifyReply, headers: Record<string, unknown>): void {
  if (!reply.server.server.listening) headers.connection = 'close';
}
