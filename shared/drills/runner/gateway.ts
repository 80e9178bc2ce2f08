import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError } from '../../cli/cli-error.ts';
import { findPhase } from '../../cli/phases.ts';
import { type Gateway as Process, startGateway as startProcess } from '../../cli/run-gateway.ts';
import { freePort } from '../../contract/harness/free-port.ts';
import { until } from '../../contract/harness/until.ts';
import { type Client, clientOf } from './client.ts';
import type { Service } from './service.ts';

/** One line of the log. */
export type LogEntry = Record<string, unknown>;

/** A phase that runs as a process of its own, and a client for it. */
export interface Gateway extends Client {
  /** Waits until the log has that many lines with this message, and returns the last of these. */
  logged(message: string, count?: number): Promise<LogEntry>;
}

/** What a drill says about a gateway. The rest is as in the gateway.json of the phase, or harmless. */
export interface GatewayOptions {
  phase: number;
  /** How the timeline calls it. */
  name: string;
  /** What /api/inventory leads to. */
  service: Service;
  timeoutMs?: number;
  /** The Redis to count in; without it the counters live in the memory of the gateway. */
  redisUrl?: string | undefined;
  /** For callers with and without a key alike. */
  limit?: { limit: number; windowMs: number };
  whenRedisFails?: 'allow' | 'reject';
  trustedProxies?: string[];
  circuitBreaker?: { failureThreshold: number; cooldownMs: number };
}

/** What a gateway needs from the scene that it is part of. */
export interface Surroundings {
  /** Takes config files. */
  readonly folder: string;
  /** Ends every call when the scene closes. */
  readonly signal: AbortSignal;
  say(who: string, what: string): void;
  /** Hands the process over as soon as there is one, so that it can be ended while it starts. */
  own(process: Process): void;
}

const everything = { limit: 1_000_000, windowMs: 60_000 };
const never = { failureThreshold: 1_000_000, cooldownMs: 60_000 };
const logMs = 10_000;
// What a gateway says of its own state belongs into the timeline.
const told = ['redis lost', 'redis found', 'circuit opened', 'circuit closed'];

/** Starts a phase on a free port, and waits until it is ready. */
export async function startGateway(options: GatewayOptions, around: Surroundings): Promise<Gateway> {
  const phase = findPhase(String(options.phase));
  const port = await freePort();
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
    if (told.includes(String(entry.msg))) around.say(options.name, `logs "${entry.msg}"${reason}`);
  };
  around.signal.throwIfAborted();
  const env = { REDIS_URL: options.redisUrl ?? '', LOG_LEVEL: 'info' };
  const process = startProcess(phase, { port, adminPort: 0 }, config, { onLog, onError }, env);
  around.own(process);
  if (!(await process.ready())) throw new CliError(`Phase ${phase.name} does not start.${complaint}`);

  return {
    ...clientOf(process.url, around.signal),
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

/** The gateway.json of the phase with one service and the wishes of the drill; a section it lacks stays out. */
async function configFor(folder: string, options: GatewayOptions): Promise<string> {
  const config = JSON.parse(await readFile(join(folder, 'gateway.json'), 'utf8'));
  const { service, timeoutMs = 30_000, limit = everything } = options;
  const { whenRedisFails = 'allow', trustedProxies = [], circuitBreaker = never } = options;
  const wishes: Record<string, unknown> = {
    services: { inventory: { url: service.url, timeoutMs } },
    routes: config.routes.filter((route: { service: string }) => route.service === 'inventory'),
    trustedProxies,
    rateLimit: { identified: limit, anonymous: limit, whenRedisFails },
    circuitBreaker,
  };
  for (const section in wishes) if (section in config) config[section] = wishes[section];
  return JSON.stringify(config, null, 2);
}
