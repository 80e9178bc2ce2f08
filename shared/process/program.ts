import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A program that runs as a child process. It is killed when this process exits. */
export interface Program {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Resolves when it has exited and its output has been read, for 2 s at most; rejects when it cannot be started. */
  readonly ended: Promise<Exit>;
  /** True when `ended` is settled. */
  hasEnded(): boolean;
  /** Waits for the end, and sends SIGKILL when it does not come within `budgetMs`. */
  endsWithin(budgetMs: number): Promise<Exit>;
  /** Sends a signal, SIGTERM by default, and waits like `endsWithin`. */
  stop(budgetMs: number, signal?: NodeJS.Signals): Promise<Exit>;
}

const running = new Set<ChildProcess>();

// A folder with a file for each program that runs, named by its process id: `npm run verify` kills its workers, and then
// what they have left running. There each program gets a process group, so that its own children end with it.
const { PROGRAMS_FOLDER: programsFolder } = process.env;
const inGroups = programsFolder !== undefined && process.platform !== 'win32';
const groups = new Set<number>();

// Children of a program may hold its output open after its end.
const outputMs = 2_000;

function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
  for (const pid of groups) {
    killGroup(pid);
    forget(pid);
  }
}

function forget(pid: number): void {
  groups.delete(pid);
  if (programsFolder !== undefined) rmSync(join(programsFolder, String(pid)), { force: true });
}

/** Sends SIGKILL to the programs in a process group. */
export function killGroup(pid: number): void {
  signalGroup(pid, 'SIGKILL');
}

/** False when the group has no process left. Signal 0 only asks. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

// Hooks and `finally` blocks do not run when this process is ended early. Without this its children would stay.
process.once('exit', killAll);

/** Kills every program that was started here, and waits until all have exited. */
export async function endEveryProgram(): Promise<void> {
  // Not 'close', which waits for every process that has inherited the streams.
  const exits = [...running].map((child) => once(child, 'exit'));
  killAll();
  await Promise.all(exits);
}

/**
 * Starts a program without a shell. By default its stdin is empty, and its output comes from the streams of `child`.
 * `options.env` is added to the environment of this process.
 */
export function startProgram(words: readonly string[], options: SpawnOptions = {}): Program {
  const [command = '', ...args] = words;
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
    detached: inGroups,
    ...options,
    env: { ...process.env, ...options.env },
  });
  const { pid } = child;
  if (pid !== undefined) {
    running.add(child);
    if (inGroups) groups.add(pid);
    if (programsFolder) writeFileSync(join(programsFolder, String(pid)), '');
  }
  child.once('exit', () => {
    running.delete(child);
    // An empty group may become that of another program. A group with a process in it keeps its number.
    if (pid !== undefined && !(inGroups && signalGroup(pid, 0))) forget(pid);
  });

  const ended = new Promise<Exit>((resolve, reject) => {
    child.on('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
    child.once('exit', (code, signal) => setTimeout(resolve, outputMs, { code, signal }).unref());
  });
  let over = false;
  const end = () => {
    over = true;
  };
  ended.then(end, end);

  const endsWithin = async (budgetMs: number) => {
    const killer = setTimeout(() => child.kill('SIGKILL'), budgetMs);
    return ended.finally(() => clearTimeout(killer));
  };
  return {
    child,
    pid: child.pid as number,
    ended,
    hasEnded: () => over,
    endsWithin,
    stop(budgetMs, signal = 'SIGTERM') {
      child.kill(signal);
      return endsWithin(budgetMs);
    },
  };
}

/** Collects the text of a stream. The returned function returns what has come, or its last `most` characters. */
export function collectText(stream: Readable | null, most = Infinity): () => string {
  let text = '';
  stream?.setEncoding('utf8').on('data', (part: string) => {
    text = (text + part).slice(-most);
  });
  return () => text;
}

/** Passes on a stream line by line. */
export function forEachLine(stream: Readable | null, take: (line: string) => void): void {
  if (stream) createInterface({ input: stream }).on('line', take);
}

const pollMs = 20;

/** Polls until `isReady` returns true; false when the program ends or `budgetMs` pass before. An error means not ready. */
export async function becomesReady(
  program: Pick<Program, 'hasEnded'>,
  isReady: () => Promise<boolean>,
  budgetMs: number,
): Promise<boolean> {
  const deadline = performance.now() + budgetMs;
  while (!(await isReady().catch(() => false))) {
    if (program.hasEnded() || performance.now() > deadline) return false;
    await sleep(pollMs);
  }
  return true;
}
