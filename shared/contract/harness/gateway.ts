import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll } from 'vitest';
import { freePort } from '../../process/free-port.ts';
import { gatewayStarted, type StartedGateway } from '../../process/gateway-started.ts';

const loopback = '127.0.0.1';
const startBudgetMs = 25_000;
const stopBudgetMs = 15_000;

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

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: string | null;
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

type Child = ChildProcessByStdio<null, Readable, Readable>;

interface Running {
  readonly child: Child;
  readonly exited: Promise<Exit>;
  stdout(): string;
  stderr(): string;
}

// Gateways that run at the same time cannot all listen on the default ADMIN_PORT.
const adminPort: Record<string, string> = level >= 5 ? { ADMIN_PORT: '0' } : {};

const survivors = new Set<Child>();
const folder = mkdtempSync(join(tmpdir(), 'gateway-contract-'));
let configs = 0;

function killSurvivors(): void {
  for (const child of survivors) child.kill('SIGKILL');
}

// afterAll() does not run when the worker is ended early. Without this its gateways would keep running.
process.once('exit', killSurvivors);

afterAll(async () => {
  killSurvivors();
  await Promise.all([...survivors].map((child) => once(child, 'close')));
  rmSync(folder, { recursive: true, force: true });
});

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
  if (asked !== '0' && (await isHealthy(loopback, Number(asked))))
    throw new Error(`Another process answers on ${loopback}:${asked} before the gateway is started.`);
  const { child, exited, stdout, stderr } = run(
    config,
    { HOST: loopback, ...options.env, PORT: asked },
    options.through,
  );
  // With PORT=0 the port is known only from the log, and so is the address when HOST is a name.
  const listeningPort = () => (asked === '0' ? portIn(stdout()) : Number(asked));
  const listeningHost = () => (named === undefined ? loopback : hostIn(stdout()));

  let gone = false;
  const end = () => {
    gone = true;
  };
  exited.then(end, end);
  const deadline = Date.now() + startBudgetMs;
  let port = listeningPort();
  let host = listeningHost();
  while (!(await isHealthy(host, port))) {
    if (!gone && Date.now() < deadline) {
      await sleep(20);
      port = listeningPort();
      host = listeningHost();
      continue;
    }
    const what = gone ? 'The gateway ended before it was ready.' : `Not ready after ${startBudgetMs} ms.`;
    child.kill('SIGKILL');
    await exited;
    throw new Error(`${what}\n--- stdout\n${stdout()}\n--- stderr\n${stderr()}`);
  }

  let pause = () => {};
  let pausing: NodeJS.Timeout | undefined;
  const log = () => parseLines(stdout());
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    host,
    port,
    pid: child.pid as number,
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
          const tail = stdout().split('\n').slice(-20).join('\n');
          throw new Error(`No log line satisfied ${test} within ${timeoutMs} ms. The last lines:\n${tail}`);
        }
        await sleep(10);
      }
    },
    readSlowly(pauseMs) {
      clearTimeout(pausing);
      child.stdout.off('data', pause);
      pause = () => {
        child.stdout.pause();
        if (pauseMs < Infinity) pausing = setTimeout(() => child.stdout.resume(), pauseMs);
      };
      child.stdout.on('data', pause);
      pause();
      child.once('exit', () => {
        clearTimeout(pausing);
        child.stdout.off('data', pause).resume(); // 'close' is not emitted while stdout is paused
      });
    },
    async stop(signal = 'SIGTERM') {
      const begin = performance.now();
      child.kill(signal);
      const killer = setTimeout(() => child.kill('SIGKILL'), stopBudgetMs);
      const exit = await exited;
      clearTimeout(killer);
      return { ...exit, ms: performance.now() - begin };
    },
    rssBytes: () => rssBytes(child.pid as number),
  };
}

/** Starts a gateway whose start must fail; throws when it gets ready. A string is the text of the config file. */
export async function startAndFail(
  config: GatewayConfig | string,
  options: Options = {},
): Promise<{ code: number | null; stdout: string; stderr: string; ms: number }> {
  const begin = performance.now();
  const port = await freePort();
  const { child, exited, stdout, stderr } = run(
    config,
    {
      HOST: '127.0.0.1',
      PORT: String(port),
      ...options.env,
    },
    options.through,
  );
  const watch = new AbortController();
  const killer = setTimeout(() => child.kill('SIGKILL'), startBudgetMs);
  const started = watchHealth(port, watch.signal).then(() => {
    child.kill('SIGKILL');
    throw new Error('The gateway became ready, but this start had to fail.');
  });
  // When `exited` wins the race, the abort rejects this promise. It must not be an unhandled rejection.
  started.catch(() => {});
  try {
    const { code } = await Promise.race([exited, started]);
    return { code, stdout: stdout(), stderr: stderr(), ms: performance.now() - begin };
  } finally {
    watch.abort();
    clearTimeout(killer);
  }
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

  const [command, ...args] = [...through, ...commandLine()] as [string, ...string[]];
  const child = spawn(command, args, {
    env: { ...process.env, REDIS_URL: '', LOG_LEVEL: 'info', GATEWAY_CONFIG: file, ...adminPort, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
  });
  survivors.add(child);

  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new Error(`GATEWAY_COMMAND could not be run: ${[command, ...args].join(' ')}`, { cause })),
    );
    // 'close' is emitted after 'exit', when all output has been read.
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  void exited.catch(() => {}).then(() => survivors.delete(child));
  const running: Running = { child, exited, stdout: () => output.stdout, stderr: () => output.stderr };
  const started: StartedGateway = { ...running, command: [command, ...args], env, config: text };
  gatewayStarted.publish(started);
  return running;
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

async function watchHealth(port: number, signal: AbortSignal): Promise<void> {
  while (!(await isHealthy('127.0.0.1', port))) await sleep(50, undefined, { signal });
}

function isHealthy(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.get({ host, port, path: '/health', agent: false, timeout: 1_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
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

async function rssBytes(pid: number): Promise<number> {
  if (process.platform === 'linux') {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }
  const ps = spawn('ps', ['-o', 'rss=', '-p', String(pid)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of ps.stdout.setEncoding('utf8')) text += chunk;
  return Number(text.trim()) * 1024;
}
