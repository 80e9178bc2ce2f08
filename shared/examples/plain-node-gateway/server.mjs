import { lookup } from 'node:dns/promises';
import { join } from 'node:path';
import { readConfig, readEnvironment, StartError } from './config.mjs';
import { createGateway } from './gateway.mjs';
import { createLog } from './log.mjs';

// Requests that are still in flight this long after the drain has begun are cut off.
const DRAIN_MS = 10_000;

// How long the process waits until its last log lines are read. A reader of stdout that is stuck must not delay the end.
const LAST_LINES_MS = 3_000;

async function main() {
  const { host, port, configFile, name, drainDelayMs, keepAliveTimeoutMs, logLevel } = readEnvironment(
    process.env,
  );
  const config = readConfig(configFile ?? join(import.meta.dirname, 'gateway.json'));
  const log = createLog(logLevel);
  const gateway = createGateway(config, log, name, keepAliveTimeoutMs);

  const refuse = (error) => {
    const cure = 'Stop what uses the port, or set PORT to another one.';
    const reason = error.code === 'EADDRINUSE' ? `it is in use. ${cure}` : error.message;
    fail(new StartError(`Cannot listen on ${host}:${port}: ${reason}`));
  };
  gateway.server.once('error', refuse);
  // A name may have several addresses. The gateway listens on one of them, and the log says on which.
  const found = await lookup(host).catch(refuse);
  gateway.server.listen(port, found.address, () => {
    const { address, family, port: listening } = gateway.server.address();
    log.info({ url: `http://${family === 'IPv6' ? `[${address}]` : address}:${listening}` }, 'listening');
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
    // once(): the same signal again ends the process at once, which is the default of Node.
    process.once(signal, () => {
      log.info({ signal }, 'stopping');
      setTimeout(() => drain(gateway), drainDelayMs);
    });
  }
}

/** Finishes the requests in flight, writes the last log lines and ends the process. */
function drain(gateway) {
  setTimeout(() => gateway.server.closeAllConnections(), DRAIN_MS);
  const exit = () => {
    // The callback of this empty write runs when all log lines are written, or when stdout has failed.
    process.stdout.write('', () => process.exit(0));
    setTimeout(() => process.exit(0), LAST_LINES_MS);
  };
  // The responses of the last connections learn of their end two turns of the event loop later, and are logged then.
  gateway.stop(() => setImmediate(() => setImmediate(exit)));
}

/** Prints one message that tells the operator what to correct, or the stack of a bug. */
function fail(error) {
  console.error(error instanceof StartError ? error.message : error);
  process.exit(1);
}

main().catch(fail);
