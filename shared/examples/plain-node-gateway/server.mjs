import { join } from 'node:path';
import { readConfig, readEnvironment, StartError } from './config.mjs';
import { createGateway } from './gateway.mjs';
import { createLog } from './log.mjs';

// What is still in flight this long after a signal to stop is cut off.
const DRAIN_MS = 10_000;

// How long the last lines of the log may take. A reader of stdout may be slow; one that is stuck must not hold up the end.
const LAST_LINES_MS = 5_000;

function main() {
  const { host, port, configFile, logLevel } = readEnvironment(process.env);
  const config = readConfig(configFile ?? join(import.meta.dirname, 'gateway.json'));
  const log = createLog(logLevel);
  const gateway = createGateway(config, log);

  gateway.server.once('error', (error) => {
    const cure = 'Stop what uses the port, or set PORT to another one.';
    const reason = error.code === 'EADDRINUSE' ? `it is in use. ${cure}` : error.message;
    fail(new StartError(`Cannot listen on ${host}:${port}: ${reason}`));
  });
  gateway.server.listen(port, host, () => {
    const { address, family, port: listening } = gateway.server.address();
    log.info({ url: `http://${family === 'IPv6' ? `[${address}]` : address}:${listening}` }, 'listening');
  });

  for (const signal of ['SIGTERM', 'SIGINT']) {
    // Once: the same signal again ends the process at once, as it would without us.
    process.once(signal, () => {
      log.info({ signal }, 'stopping');
      setTimeout(() => gateway.server.closeAllConnections(), DRAIN_MS);
      gateway.stop(() => {
        // Written last, so that it is done when all of the log is out, or when nobody reads it.
        process.stdout.write('', () => process.exit(0));
        setTimeout(() => process.exit(0), LAST_LINES_MS);
      });
    });
  }
}

/** The operator gets one message that says what to mend. A bug gets its stack. */
function fail(error) {
  console.error(error instanceof StartError ? error.message : error);
  process.exit(1);
}

try {
  main();
} catch (error) {
  fail(error);
}
