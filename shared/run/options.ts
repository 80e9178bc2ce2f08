import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type DemoPorts, defaultPorts } from '../repository/demo-ports.ts';
import { findPhaseFolder, listPhaseFolders, type Phase } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError } from '../terminal/cli-error.ts';
import { readNumber, readPort, refuseWords } from '../terminal/option-values.ts';

/** The options of the command line. */
export interface RunOptions {
  phase: Phase;
  /** Whether the command names the phase. npm start does not. */
  isNamed: boolean;
  port: number;
  /** Whether the phase has an admin listener. */
  hasAdmin: boolean;
  adminPort: number;
  instances: number;
  /** Absolute path of the user's own config. */
  config: string | undefined;
  services: boolean;
  servicePorts: DemoPorts;
  json: boolean;
}

const defaultPort = 3000;
const maxInstances = 64;
const firstPhaseWithRedis = 3;
/** Port of the admin listener, where the dashboard looks for its metrics. */
export const defaultAdminPort = 9464;
const firstPhaseWithAdmin = 5;

/** The options of every command that runs a phase, for readArguments. */
export const runArguments = {
  port: { type: 'string' },
  'admin-port': { type: 'string' },
  config: { type: 'string' },
  instances: { type: 'string' },
  'no-services': { type: 'boolean' },
  'inventory-port': { type: 'string' },
  'orders-port': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** The lines about these options in the usage of such a command. */
export const runArgumentsHelp = `\
  --port NUMBER             port of the gateway; default ${defaultPort}, 0 picks a free one
  --admin-port NUMBER       port of its admin listener, from phase ${firstPhaseWithAdmin} on; 0 picks a free one;
                            default ${defaultAdminPort}, or 0 when --port is 0
  --config FILE             your own config instead of the gateway.json of the phase
  --instances NUMBER        number of gateways, on consecutive ports; default 1
                            (from phase ${firstPhaseWithRedis} on they share a real Redis: set REDIS_URL)
  --no-services             do not start the demo services
  --inventory-port NUMBER   port of the service inventory; default ${defaultPorts.inventory}, 0 picks a free one
  --orders-port NUMBER      port of the service orders; default ${defaultPorts.orders}, 0 picks a free one
  --json                    prints the logs unchanged, on stdout; everything else goes to stderr
  --help                    this text

REDIS_URL and LOG_LEVEL are passed to the gateway; this command sets its ports, hosts and GATEWAY_CONFIG.`;

const usage = `Runs a phase of the gateway with the demo services.

  npm start -- [options]            the newest phase
  npm run phase:N -- [options]      phase ${listPhaseFolders()
    .map(({ number }) => number)
    .join(', ')}

${runArgumentsHelp}`;

/** Reads the command line; undefined after printing the help. A wrong option throws a CliError. */
export function readRunOptions(): RunOptions | undefined {
  const { values, positionals } = readArguments(usage, runArguments);
  if (values.help) {
    console.log(usage);
    return undefined;
  }
  const [word, ...extra] = positionals;
  const phase = findPhaseFolder(word);
  refuseWords(usage, extra);
  return { ...toRunOptions(phase, values), isNamed: word !== undefined };
}

/** Checks the values of the options. A wrong value throws a CliError. */
export function toRunOptions(phase: Phase, values: RunValues): RunOptions {
  const instances = readNumber('instances', values.instances, 1, [1, maxInstances]);
  if (instances > 1 && phase.number >= firstPhaseWithRedis) requireRedis(phase);
  const port = readPort('port', values.port, defaultPort);
  if (port + instances - 1 > 65535) throw new CliError(`${instances} ports from ${port} on go past 65535.`);
  return {
    phase,
    isNamed: true,
    port,
    hasAdmin: phase.number >= firstPhaseWithAdmin,
    adminPort: readPort('admin-port', values['admin-port'], port === 0 ? 0 : defaultAdminPort),
    instances,
    config: values.config === undefined ? undefined : existing(values.config),
    services: !values['no-services'],
    servicePorts: {
      inventory: readPort('inventory-port', values['inventory-port'], defaultPorts.inventory),
      orders: readPort('orders-port', values['orders-port'], defaultPorts.orders),
    },
    json: values.json ?? false,
  };
}

type RunValues = ReturnType<typeof readArguments<typeof runArguments>>['values'];

function requireRedis({ number }: Phase): void {
  if (process.env.REDIS_URL) return;
  throw new CliError(`Several instances of phase ${number} need one shared Redis, but REDIS_URL is not set. Start a Redis:

  docker compose up -d redis        (in this folder)
  sudo apt install redis-server     (Debian, Ubuntu; it starts by itself)
  brew install redis && brew services start redis

Then set REDIS_URL=redis://127.0.0.1:6379 in the environment and run this command again:

  export REDIS_URL=redis://127.0.0.1:6379       (sh, bash, zsh)
  $env:REDIS_URL = 'redis://127.0.0.1:6379'     (PowerShell)`);
}

function existing(file: string): string {
  // npm runs scripts in the root folder; INIT_CWD is the current folder of the user.
  const path = resolve(process.env.INIT_CWD ?? process.cwd(), file);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    throw new CliError(`There is no file ${path}. --config takes the path of a gateway config.`);
  }
  return path;
}
