import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type GatewayPorts, type GatewayProcess, startPhase } from '../process/gateway-process.ts';
import { findPorts } from '../process/ports.ts';
import { redirectConfig } from '../repository/demo-config.ts';
import type { RunningServices, StartServices } from '../repository/demo-ports.ts';
import { CliError } from '../terminal/cli-error.ts';
import { greet } from './greeting.ts';
import { prettifyLine } from './log.ts';
import type { RunOptions } from './options.ts';
import { restartAfterCrash } from './restart.ts';

// The exit code of a process may come shortly after its connections have ended.
const exitMs = 1_000;
// One Ctrl-C may arrive several times: from the terminal, from npm and from tsx. Within this time they count as one.
const sameCtrlCMs = 500;

/**
 * Runs the services and gateways until a signal comes or a gateway ends; resolves with the exit code. A gateway of phase 0
 * is started again when it crashes. `greeting` returns the text to print when the gateways are ready.
 */
export async function runPhase(
  options: RunOptions,
  startServices: StartServices,
  greeting = greet,
): Promise<number> {
  const say = options.json ? console.error : console.log;
  const gateways: GatewayProcess[] = [];
  const interrupted = untilInterrupted(gateways, () => say(describeStop(options)));
  const ports = await findPorts(options.port, options.instances);
  const adminPorts = options.hasAdmin
    ? await findPorts(options.adminPort, options.instances, {
        name: 'admin listener',
        option: '--admin-port',
      })
    : [];
  const folder = await mkdtemp(join(tmpdir(), 'phased-gateway-'));
  let services: RunningServices | undefined;
  try {
    if (options.services) services = await startServices(options.servicePorts);
    const servicePorts = services
      ? { inventory: services.inventory.port, orders: services.orders.port }
      : options.servicePorts;
    const template = options.config ?? join(options.phase.folder, 'gateway.json');
    const config = await redirectConfig(template, servicePorts, folder);
    for (const [i, port] of ports.entries()) {
      const start = (onError?: (line: string) => void) =>
        startOne(options, { port, adminPort: adminPorts[i] ?? 0 }, { config, template }, onError);
      // The README of phase 0 shows how to crash it.
      gateways.push(options.phase.number === 0 ? restartAfterCrash(start, console.error) : start());
    }

    const ended = gateways.map(async ({ url, ended }) => ({ url, code: await ended }));
    const over = Promise.race([interrupted, ...ended]);
    const ready = Promise.all(gateways.map((gateway) => gateway.ready()));
    const first = await Promise.race([over, ready]);
    if (Array.isArray(first)) {
      if (first.every(Boolean)) {
        const urls = gateways.map(({ url }) => url);
        say(greeting(options, urls, servicePorts, adminPorts));
        // A gateway that has ended tells its exit code below. One that still runs after this time hangs.
      } else if (!(await Promise.race([...ended, sleep(exitMs)]))) {
        throw new CliError('A gateway does not answer GET /health. The log above may show the reason.');
      }
    }
    const end = await over;
    if (!end) return 0;
    console.error(`The gateway on ${end.url} ended with exit code ${end.code}; everything else stops too.`);
    return end.code;
  } finally {
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await services?.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function startOne(
  { phase, instances, json }: RunOptions,
  ports: GatewayPorts,
  { config, template }: { config: string; template: string },
  onError: (line: string) => void = () => {},
): GatewayProcess {
  const prefix = instances > 1 ? `${ports.port} ` : '';
  return startPhase(phase, ports, config, {
    onLog: (line) => process.stdout.write(json ? `${line}\n` : `${prefix}${prettifyLine(line)}\n`),
    // With other ports the gateway reads a copy. Its messages are about the file that the user can mend.
    onError: (line) => {
      process.stderr.write(`${prefix}${line.replaceAll(config, template)}\n`);
      onError(line);
    },
  });
}

/** Phase 0 leaves what to do at a signal to Node, which ends the process at once. */
function describeStop({ phase }: RunOptions): string {
  return phase.number === 0
    ? 'Stopping. Phase 0 ends at once, and cuts off the requests in flight.'
    : 'Stopping. Requests in flight can finish; Ctrl-C again cuts them off.';
}

/** Resolves at the first Ctrl-C, after a call of `tell`; the second one kills the gateways. */
function untilInterrupted(gateways: GatewayProcess[], tell: () => void): Promise<undefined> {
  let firstMs: number | undefined;
  return new Promise((resolve) => {
    const interrupt = () => {
      if (firstMs === undefined) {
        firstMs = performance.now();
        tell();
        resolve(undefined);
      } else if (performance.now() - firstMs > sameCtrlCMs) {
        for (const gateway of gateways) gateway.kill();
        process.exit(130);
      }
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  });
}
