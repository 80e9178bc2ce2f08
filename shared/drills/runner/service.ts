import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** A service whose behaviour the drill defines. */
export interface DrillService {
  readonly url: string;
  /** Requests that have reached it. */
  calls(): number;
  close(): Promise<void>;
}

/** Starts a service on a free port of 127.0.0.1. */
export async function startDrillService(handler: http.RequestListener): Promise<DrillService> {
  const sockets = new Set<Socket>();
  let calls = 0;
  const server = http.createServer((request, response) => {
    calls += 1;
    handler(request, response);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: () => calls,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A handler that answers every request at once with this status. */
export function always(status: number, headers: http.OutgoingHttpHeaders = {}): http.RequestListener {
  return (_request, response) => response.writeHead(status, headers).end();
}
