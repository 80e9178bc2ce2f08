import { join } from 'node:path';
import pino from 'pino';
import { readConfig, readEnvironment, StartError } from './config.ts';
import { buildGateway } from './gateway.ts';

// What is still in flight this long after a signal to stop is cut off.
const DRAIN_MS = 10_000;

// How long the last lines of the log may take. A reader of stdout that is stuck must not hold up the end.
const LAST_LINES_MS = 500;

// minLength: with none, flush() waits for nothing. maxLength: lines that nobody takes are dropped, not collected.
const stdout = pino.destination({ sync: false, minLength: 1, maxLength: 16 * 1024 * 1024 });
stdout.on('error', () => {}); // a full disk costs the log, not the service

async function main(): Promise<void> {
  const environment = readEnvironment(process.env);
  const config = readConfig(environment.GATEWAY_CONFIG ?? join(import.meta.dirname, 'gateway.json'));
  const log = pino({ level: environment.LOG_LEVEL, base: null }, stdout);
  const gateway = buildGateway(config, { log, now: () => performance.now() });

  const { HOST: host, PORT: port } = environment;
  const url = await gateway.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
    const cure = 'Stop what uses the port, or set PORT to another one.';
    const reason = error.code === 'EADDRINUSE' ? `it is in use. ${cure}` : error.message;
    throw new StartError(`Cannot listen on ${host}:${port}: ${reason}`);
  });
  log.info({ url }, 'listening');

  const stop = async (signal: string) => {
    log.info({ signal }, 'stopping');
    setTimeout(() => gateway.server.closeAllConnections(), DRAIN_MS);
    // Connections that become idle from now on would keep the server open until their keep-alive ends.
    setInterval(() => gateway.server.closeIdleConnections(), 50);
    await gateway.close();
    const exit = () => {
      stdout.destroy(); // or the rest is written at exit, in a loop that does not end while nobody reads
      process.exit(0);
    };
    setTimeout(exit, LAST_LINES_MS);
    log.flush(exit);
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

main().catch((error) => {
  console.error(error instanceof StartError ? error.message : error);
  process.exit(1);
});
