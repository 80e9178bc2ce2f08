import { once } from 'node:events';
import https from 'node:https';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { startProgram } from '../../process/program.ts';
import type { Certificate } from '../harness/certificates.ts';

/** A port on which no connection completes: its process is blocked and its backlog is full. Linux only. */
export interface Silent {
  url: string;
  close(): Promise<void>;
}

/** Starts a process that accepts no connection. */
export async function startSilent(): Promise<Silent> {
  const script = `
    const server = require('node:net').createServer();
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      require('node:fs').writeSync(1, String(server.address().port));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const { child } = startProgram([process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output] = (await once(child.stdout as Readable, 'data')) as [Buffer];
  const port = Number(output);
  // These fill the backlog; whether they connect does not matter.
  const fillers = Array.from({ length: 4 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
  await once(fillers[0] as Socket, 'connect');
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      for (const filler of fillers) filler.destroy();
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** A service behind TLS. */
export interface Secure {
  url: string;
  requests(): number;
  close(): Promise<void>;
}

/** Starts a service with this certificate, which answers `secret`. */
export async function startSecure(certificate: Certificate): Promise<Secure> {
  let requests = 0;
  const server = https.createServer(certificate, (_, response) => {
    requests++;
    response.end('secret');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
