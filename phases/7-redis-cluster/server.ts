import { lookup } from 'node:dns/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { readConfig, readEnvironment } from './config.ts';
import { connectRedis } from './counters.ts';
import { prepareDrain } from './drain.ts';
import { buildGateway } from './gateway.ts';
import { closeLog, openLog } from './log.ts';
import { StartError } from './start-error.ts';

/** Reads the settings, starts the gateway, and stops it on a signal. */
async function main(): Promise<void> {
  const environment = readEnvironment(process.env);
  const config = readConfig(environment.GATEWAY_CONFIG ?? join(import.meta.dirname, 'gateway.json'));
  const log = openLog(environment.LOG_LEVEL);
  const now = () => performance.now();
  const redis = await connectRedis(environment.REDIS_URL, config.rateLimit.keyPrefix, log);
  const { gateway, admin } = buildGateway(config, {
    viaName: environment.GATEWAY_NAME,
    log,
    now,
    keepAliveTimeoutMs: environment.KEEP_ALIVE_TIMEOUT_MS,
    redis,
  });
  const drain = prepareDrain(gateway, environment.DRAIN_DELAY_MS);

  const adminUrl = await listen(admin, environment.ADMIN_HOST, environment.ADMIN_PORT, 'ADMIN_PORT');
  log.info({ url: await listen(gateway, environment.HOST, environment.PORT, 'PORT') }, 'listening');
  log.info({ url: adminUrl }, 'admin listening');

  const stop = async (signal: string) => {
    log.info({ signal }, 'stopping');
    await drain();
    await exit(0);
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.once('SIGHUP', stop);
}

/** Starts a listener and returns its URL. Throws a StartError that names the variable to change when the port is in use. */
async function listen(
  server: FastifyInstance,
  host: string,
  port: number,
  variable: string,
): Promise<string> {
  try {
    // A name is looked up here, so that there is one listener, and the log has its address.
    const { address } = await lookup(host);
    return await server.listen({ host: address, port });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const inUse = `it is in use. Stop the program that uses the port, or set ${variable} to another one.`;
    throw new StartError(`Cannot listen on ${host}:${port}: ${code === 'EADDRINUSE' ? inUse : message}`);
  }
}

async function exit(code: number): Promise<void> {
  await closeLog();
  process.exit(code);
}

main().catch((error) => {
  console.error(error instanceof StartError ? error.message : error);
  return exit(1);
});
