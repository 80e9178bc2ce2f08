import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type GatewayProcess, startPhase } from '../../process/gateway-process.ts';
import { freePort } from '../../process/ports.ts';
import { until } from '../../process/until.ts';
import { findPhase } from '../../repository/phases.ts';
import { CliError } from '../../terminal/cli-error.ts';
import { type Client, clientOf } from './client.ts';
import type { DrillService } from './service.ts';

/** One line of the log. */
export type LogEntry = Record<string, unknown>;

/** A phase that runs as a process of its own, and a client for it. */
export interface DrillGateway extends Client {
  /** Calls its admin listener, from phase 5 on. */
  readonly admin: Client;
  /** Waits until the log has that many lines with this message, and returns the last of these. */
  logged(message: string, count?: number): Promise<LogEntry>;
}

/** The settings of a gateway in a drill. Where one is missing, a default applies that does not affect the drill. */
export interface DrillGatewayOptions {
  phase: number;
  /** Its name in the timeline. */
  name: string;
  /** The service behind /api/inventory. */
  service: DrillService;
  /** Prefixes that need a key. */
  protectedPrefixes?: string[];
  timeoutMs?: number;
  /** The Redis for the counters. Without it, they are in the memory of the gateway. */
  redisUrl?: string | undefined;
  /** Applies to clients with and without a key. */
  limit?: { limit: number; windowMs: number };
  whenRedisFails?: 'allow' | 'reject';
  trustedProxies?: string[];
  circuitBreaker?: { failureThreshold: number; cooldownMs: number };
}

/** What a gateway needs from the scene that it is part of. */
export interface DrillSurroundings {
  /** The folder for config files. */
  readonly folder: string;
  /** Aborts every request when the scene closes. */
  readonly signal: AbortSignal;
  say(who: string, what: string): void;
  /** Registers the process as soon as it exists, so that the scene can end it while it starts. */
  own(process: GatewayProcess): void;
}

const everything = { limit: 1_000_000, windowMs: 60_000 };
const never = { failureThreshold: 1_000_000, cooldownMs: 60_000 };
const logMs = 10_000;
// Log messages that the timeline shows.
const shownMessages = ['redis lost', 'redis found', 'circuit opened', 'circuit closed'];

/** Starts a phase on a free port, and waits until it is ready. */
export async function startDrillGateway(
  options: DrillGatewayOptions,
  around: DrillSurroundings,
): Promise<DrillGateway> {
  const phase = findPhase(String(options.phase));
  const port = await freePort();
  const adminPort = await freePort();
  const config = join(around.folder, `gateway-${port}.json`);
  await writeFile(config, await configFor(phase.folder, options));

  const log: LogEntry[] = [];
  let complaint = '';
  const onError = (line: string) => {
    complaint += `\n${line}`;
  };
  const onLog = (line: string) => {
    const entry = JSON.parse(line) as LogEntry;
    log.push(entry);
    const reason = entry.reason === undefined ? '' : ` (${entry.reason})`;
    if (shownMessages.includes(String(entry.msg))) around.say(options.name, `logs "${entry.msg}"${reason}`);
  };
  around.signal.throwIfAborted();
  const env = { REDIS_URL: options.redisUrl ?? '', LOG_LEVEL: 'info' };
  const process = startPhase(phase, { port, adminPort }, config, { onLog, onError }, env);
  around.own(process);
  if (!(await process.ready())) throw new CliError(`Phase ${phase.name} does not start.${complaint}`);

  return {
    ...clientOf(process.url, around.signal),
    admin: clientOf(`http://127.0.0.1:${adminPort}`, around.signal),
    async logged(message, count = 1) {
      const lines = () => log.filter(({ msg }) => msg === message);
      const what = `${options.name} logs "${message}"`;
      await until(() => lines().length >= count || around.signal.aborted, what, logMs).catch((error) => {
        throw new CliError(`${error.message}. The machine may be too busy: run the drill again.`);
      });
      around.signal.throwIfAborted();
      return lines()[count - 1] as LogEntry;
    },
  };
}

/** The gateway.json of the phase, with one service and the settings of the drill. It gets no new section. */
async function configFor(folder: string, options: DrillGatewayOptions): Promise<string> {
  const config = JSON.parse(await readFile(join(folder, 'gateway.json'), 'utf8'));
  const { service, protectedPrefixes = [], timeoutMs = 30_000, limit = everything } = options;
  const { whenRedisFails = 'allow', trustedProxies = [], circuitBreaker = never } = options;
  const settings: Record<string, unknown> = {
    services: { inventory: { url: service.url, timeoutMs } },
    routes: [
      ...config.routes.filter((route: { service: string }) => route.service === 'inventory'),
      ...protectedPrefixes.map((prefix) => ({ prefix, service: 'inventory', access: 'protected' })),
    ],
    trustedProxies,
    rateLimit: { identified: limit, anonymous: limit, whenRedisFails },
    circuitBreaker,
  };
  for (const section in settings) if (section in config) config[section] = settings[section];
  return JSON.stringify(config, null, 2);
}
