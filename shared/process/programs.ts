import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CliError } from '../terminal/cli-error.ts';

/** The core of the gateways. Upstream, load generator and Redis share the next one. */
export const GATEWAY_CORE = 0;
const HELPER_CORE = 1;

const READY_MS = 180_000; // a start with 10,000 routes may be slow
const STOP_MS = 3_000;

/** A folder for configs and logs that is removed when the benchmark ends, however it ends. */
export const scratch = mkdtempSync(join(tmpdir(), 'gateway-bench-'));

/** True when processes can be pinned to cores on this machine. */
export const canPin = process.platform === 'linux' && availableParallelism() >= 2 && onPath('taskset');

const children = new Set<ChildProcess>();

process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

/** Pins this process, and every process that it starts, to the helper core. */
export function leaveGatewayCore(): void {
  if (canPin) spawnSync('taskset', ['-acp', String(HELPER_CORE), String(process.pid)]);
}

/** True when a command is on PATH. */
export function onPath(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A program to start. With `logFile`, stdout goes to that file; without it, stdout is kept in memory. */
export interface Command {
  command: string;
  args: string[];
  env?: Record<string, string>;
  core?: number;
  logFile?: string;
}

/** A process of the benchmark. */
export interface BenchProcess {
  readonly pid: number;
  /** Resolves with stdout when the exit code is 0; rejects with an Error that contains stderr otherwise. */
  readonly finished: Promise<string>;
  /** Sends SIGTERM, and SIGKILL after 3 s. */
  stop(): Promise<void>;
}

/** Starts a process without a shell. The end of the benchmark kills it. */
export function startBenchProcess({ command, args, env, core, logFile }: Command): BenchProcess {
  const line =
    core !== undefined && canPin ? ['taskset', '-c', String(core), command, ...args] : [command, ...args];
  const log = logFile === undefined ? 'pipe' : openSync(logFile, 'w');
  const child = spawn(line[0] as string, line.slice(1), {
    env: { ...process.env, ...env },
    stdio: ['ignore', log, 'pipe'],
    windowsHide: true,
  });
  if (typeof log === 'number') closeSync(log);
  children.add(child);
  let output = '';
  let complaint = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-100_000);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-10_000);
  });
  const finished = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      children.delete(child);
      if (code === 0) resolve(output);
      else
        reject(
          new Error(`${command} ended with ${code ?? signal}: ${(complaint || output).trim().slice(-600)}`),
        );
    });
  });
  finished.catch(() => {});
  return {
    pid: child.pid as number,
    finished,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
      const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
      clearTimeout(killer);
    },
  };
}

/** Waits until `ready` returns true. Throws when the process ends first, or after three minutes. */
export async function becomesReady(running: BenchProcess, ready: () => Promise<boolean>): Promise<void> {
  let failure: Error | null = null;
  running.finished.then(
    () => {
      failure = new Error('the process ended before it was ready');
    },
    (error: Error) => {
      failure = error;
    },
  );
  const deadline = performance.now() + READY_MS;
  while (!(await ready().catch(() => false))) {
    if (failure) throw failure;
    if (performance.now() > deadline) throw new CliError(`not ready after ${READY_MS / 1000} s`);
    await delay(20);
  }
}
