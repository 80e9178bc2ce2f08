import { join } from 'node:path';
import pino from 'pino';
import { readConfig, readEnvironment, StartError } from './config.ts';
import { buildGateway } from './gateway.ts';
import { connectRedis } from './redis.ts';

// What is still in flight this long after a signal to stop is cut off.
const DRAIN_MS = 10_000;

// A reader of stdout that has taken nothing for this long is stuck, and must not hold up the end.
const STUCK_MS = 500;

// minLength: with none, flush() waits for nothing. maxLength: lines that nobody takes are dropped, not collected.
const stdout = pino.destination({ sync: false, minLength: 1, maxLength: 16 * 1024 * 1024 });
stdout.on('error', () => {}); // a full disk costs the log, not the service

async function main(): Promise<void> {
  const environment = readEnvironment(process.env);
  const config = readConfig(environment.GATEWAY_CONFIG ?? join(import.meta.dirname, 'gateway.json'));
  const log = pino({ level: environment.LOG_LEVEL, base: null }, stdout);
  const redis = await connectRedis(environment.REDIS_URL, log);
  const gateway = buildGateway(config, { log, now: () => performance.now(), redis });

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
    exit(0);
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

/** Ends the process when the log is out. What nobody takes is lost. */
function exit(code: number): void {
  const end = () => {
    stdout.destroy(); // or the rest is written at exit, in a loop that does not end while nobody reads
    process.exit(code);
  };
  const stuck = setTimeout(end, STUCK_MS);
  stdout.on('write', () => stuck.refresh());
  setTimeout(end, DRAIN_MS);
  stdout.flush(end);
}

main().catch((error) => {
  console.error(error instanceof StartError ? error.message : error);
  exit(1);
});
