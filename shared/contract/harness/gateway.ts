import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll } from 'vitest';
import { isHealthy } from '../../process/ask.ts';
import { memoryBytes } from '../../process/cpu.ts';
import { gatewayStarted, type StartedGateway } from '../../process/gateway-started.ts';
import { freePort } from '../../process/ports.ts';
import {
  becomesReady,
  collectText,
  type Exit,
  endEveryProgram,
  type Program,
  startProgram,
} from '../../process/program.ts';

const loopback = '127.0.0.1';
const startBudgetMs = 25_000;
const stopBudgetMs = 15_000;
const healthMs = 1_000;
// How much of its output the error of a failed start contains.
const outputTold = 4_000;

/** The phase that the gateway under test implements. It decides which sections its config gets. */
export const level = Number(process.env.GATEWAY_LEVEL ?? '1');

/** A config file as the gateway reads it. */
export interface GatewayConfig {
  services: Record<string, { url: string; timeoutMs: number }>;
  routes: Array<{ prefix: string; service: string; access?: 'public' | 'protected' }>;
  [section: string]: unknown;
}

/**
 * Completes `parts` to a config for phase `level`, or for `suite` if that is higher. Missing sections get values that
 * limit, refuse and add nothing.
 */
export function configFor(
  parts: Partial<GatewayConfig> & Pick<GatewayConfig, 'services' | 'routes'>,
  suite = 1,
): GatewayConfig {
  const phase = Math.max(level, suite);
  const config: GatewayConfig = { ...parts };
  if (phase >= 2) {
    config.routes = parts.routes.map((route) => ({ access: 'public', ...route }));
    config.clients ??= [];
  }
  if (phase >= 3) {
    config.trustedProxies ??= [];
    config.rateLimit = {
      identified: { limit: 1_000_000, windowMs: 60_000 },
      anonymous: { limit: 1_000_000, windowMs: 60_000 },
      whenRedisFails: 'allow',
      ...(parts.rateLimit as object | undefined),
    };
  }
  if (phase >= 4) config.circuitBreaker ??= { failureThreshold: 1_000_000, cooldownMs: 30_000 };
  if (phase >= 6) config.serverTiming ??= false;
  return config;
}

/** A gateway process that is ready. */
export interface Gateway {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** The log lines so far; a line that is not JSON is kept as `{ raw }`. */
  log(): Array<Record<string, unknown>>;
  /** Waits until a log line satisfies the test, and returns the first that does. */
  waitForLog(
    test: (line: Record<string, unknown>) => boolean,
    timeoutMs?: number,
  ): Promise<Record<string, unknown>>;
  stdout(): string;
  stderr(): string;
  /** Pauses reading of stdout for `pauseMs` after each chunk. With Infinity nothing is read before the gateway ends. */
  readSlowly(pauseMs: number): void;
  /** Sends SIGTERM, or the given signal, and waits for the exit; kills after 15 s. */
  stop(signal?: NodeJS.Signals): Promise<Exit & { ms: number }>;
  readonly exited: Promise<Exit>;
  /** Resident memory now. */
  rssBytes(): Promise<number>;
}

interface Options {
  env?: Record<string, string>;
  /** Words put before the command: a program that replaces itself with the gateway (`exec`). */
  through?: string[];
}

interface Running extends Program {
  /** The record of this start for those who watch. */
  started: StartedGateway;
  stdout(): string;
  stderr(): string;
}

// Gateways that run at the same time cannot all listen on the default ADMIN_PORT.
const adminPort: Record<string, string> = level >= 5 ? { ADMIN_PORT: '0' } : {};

const folder = mkdtempSync(join(tmpdir(), 'gateway-contract-'));
let configs = 0;

afterAll(async () => {
  await endEveryProgram();
  rmSync(folder, { recursive: true, force: true });
});

// A run that is cut off ends its workers with SIGTERM. By default Node then skips the event 'exit', at which program.ts
// kills the gateways.
process.once('SIGTERM', () => process.exit(143));

// A start needs much CPU time. Gateways start one after the other, because parallel starts could all time out.
let lastStart: Promise<unknown> = Promise.resolve();

/**
 * Starts the gateway with this config on a free port, or on `env.PORT`, and waits until GET /health answers 200. A string
 * is the text of the config file.
 */
export function startGateway(config: GatewayConfig | string, options: Options = {}): Promise<Gateway> {
  const started = lastStart.then(() => start(config, options));
  lastStart = started.catch(() => {});
  return started;
}

async function start(config: GatewayConfig | string, options: Options): Promise<Gateway> {
  const named = options.env?.HOST;
  const asked = options.env?.PORT ?? String(await freePort());
  if (asked !== '0' && (await isHealthy(Number(asked), { timeoutMs: healthMs })))
    throw new Error(`Another process answers on ${loopback}:${asked} before the gateway is started.`);
  const running = run(config, { HOST: loopback, ...options.env, PORT: asked }, options.through);
  const { child, pid, ended: exited, stdout, stderr } = running;

  let [host, port] = [loopback, 0];
  const isReady = () => {
    // With PORT=0 the port is known only from the log, and so is the address when HOST is a name.
    port = asked === '0' ? portIn(stdout()) : Number(asked);
    host = named === undefined ? loopback : hostIn(stdout());
    return isHealthy(port, { host, timeoutMs: healthMs });
  };
  if (!(await becomesReady(running, isReady, startBudgetMs))) {
    const what = running.hasEnded()
      ? 'The gateway ended before it was ready.'
      : `Not ready after ${startBudgetMs} ms.`;
    child.kill('SIGKILL');
    await exited;
    throw new Error(
      `${what}\n--- stdout\n${stdout().slice(-outputTold)}\n--- stderr\n${stderr().slice(-outputTold)}`,
    );
  }
  running.started.wasReady = true;

  const output = child.stdout as Readable;
  let pause = () => {};
  let pausing: NodeJS.Timeout | undefined;
  const log = readLog(stdout);
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    host,
    port,
    pid,
    log,
    stdout,
    stderr,
    exited,
    async waitForLog(test, timeoutMs = 5_000) {
      const lastMoment = Date.now() + timeoutMs;
      for (;;) {
        const line = log().find(test);
        if (line) return line;
        if (Date.now() > lastMoment) {
          const tail = stdout().slice(-outputTold).split('\n').slice(-20).join('\n');
          throw new Error(`No log line satisfied ${test} within ${timeoutMs} ms. The last lines:\n${tail}`);
        }
        await sleep(10);
      }
    },
    readSlowly(pauseMs) {
      clearTimeout(pausing);
      output.off('data', pause);
      pause = () => {
        output.pause();
        if (pauseMs < Infinity) pausing = setTimeout(() => output.resume(), pauseMs);
      };
      output.on('data', pause);
      pause();
      child.once('exit', () => {
        clearTimeout(pausing);
        output.off('data', pause).resume(); // 'close' is not emitted while stdout is paused
      });
    },
    async stop(signal = 'SIGTERM') {
      const begin = performance.now();
      const exit = await running.stop(stopBudgetMs, signal);
      return { ...exit, ms: performance.now() - begin };
    },
    rssBytes: async () => memoryBytes(pid).now,
  };
}

/** What a failed start leaves. */
interface FailedStart {
  code: number | null;
  stdout: string;
  stderr: string;
}

// A start that fails is quick, so a few of them may run at a time: one in each lane.
const lanes: Array<Promise<unknown>> = [Promise.resolve(), Promise.resolve(), Promise.resolve()];
let failedStarts = 0;

/** Starts a gateway whose start must fail; throws when it gets ready. A string is the text of the config file. */
export function startAndFail(config: GatewayConfig | string, options: Options = {}): Promise<FailedStart> {
  const lane = failedStarts++ % lanes.length;
  const failed = (lanes[lane] as Promise<unknown>).then(() => failToStart(config, options));
  lanes[lane] = failed.catch(() => {});
  return failed;
}

async function failToStart(config: GatewayConfig | string, options: Options): Promise<FailedStart> {
  const port = await freePort();
  const env = { HOST: loopback, PORT: String(port), ...options.env };
  const running = run(config, env, options.through);
  const isReady = await becomesReady(running, () => isHealthy(port, { timeoutMs: healthMs }), startBudgetMs);
  running.child.kill('SIGKILL');
  if (isReady) throw new Error('The gateway became ready, but this start had to fail.');
  const { code } = await running.ended;
  return { code, stdout: running.stdout(), stderr: running.stderr() };
}

function portIn(stdout: string): number {
  return Number(listeningUrl(stdout)?.port ?? 0);
}

/** The address to connect to: 127.0.0.1 if the gateway listens on all addresses, or has not logged where. */
function hostIn(stdout: string): string {
  const host = listeningUrl(stdout)?.hostname.replace(/^\[(.*)\]$/, '$1') ?? loopback;
  return host === '::' || host === '0.0.0.0' ? loopback : host;
}

function listeningUrl(stdout: string): URL | undefined {
  const url = parseLines(stdout).find((line) => line.msg === 'listening')?.url;
  return typeof url === 'string' ? new URL(url) : undefined;
}

function run(config: GatewayConfig | string, env: Record<string, string>, through: string[] = []): Running {
  const file = join(folder, `gateway-${++configs}.json`);
  const text = typeof config === 'string' ? config : JSON.stringify(config, null, 2);
  writeFileSync(file, text);

  const command = [...through, ...commandLine()];
  const program = startProgram(command, {
    env: { REDIS_URL: '', LOG_LEVEL: 'info', GATEWAY_CONFIG: file, ...adminPort, ...env },
  });
  const ended = program.ended.catch((cause) => {
    throw new Error(`GATEWAY_COMMAND could not be run: ${command.join(' ')}`, { cause });
  });
  ended.catch(() => {}); // a failed start reads it, a running gateway may not
  const [stdout, stderr] = [collectText(program.child.stdout), collectText(program.child.stderr)];
  const started: StartedGateway = {
    child: program.child,
    command,
    env,
    config: text,
    stdout,
    stderr,
    wasReady: false,
  };
  gatewayStarted.publish(started);
  return { ...program, ended, stdout, stderr, started };
}

function commandLine(): [string, ...string[]] {
  const text = process.env.GATEWAY_COMMAND?.trim();
  if (!text) {
    throw new Error(
      'GATEWAY_COMMAND is not set. Set it to the command that starts the gateway, for example ' +
        'GATEWAY_COMMAND="node --import tsx phases/1-routing/server.ts" GATEWAY_LEVEL=1',
    );
  }
  const [command, ...args] = text.startsWith('[') ? (JSON.parse(text) as string[]) : text.split(/\s+/);
  return [command as string, ...args];
}

/** Returns a function that parses the lines which have come since its last call, and returns all of them. */
function readLog(stdout: () => string): () => Array<Record<string, unknown>> {
  const lines: Array<Record<string, unknown>> = [];
  let read = 0;
  return () => {
    const text = stdout();
    const end = text.lastIndexOf('\n') + 1;
    if (end > read) for (const line of parseLines(text.slice(read, end))) lines.push(line);
    read = Math.max(read, end);
    return lines.slice();
  };
}

function parseLines(text: string): Array<Record<string, unknown>> {
  const complete = text.slice(0, text.lastIndexOf('\n') + 1);
  return complete
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      try {
        return JSON.parse(line) as Record<string, unknown>;
      } catch {
        return { raw: line };
      }
    });
}
