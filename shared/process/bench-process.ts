import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliError } from '../terminal/cli-error.ts';
import { pinned } from './cores.ts';
import { becomesReady, collectText, type Program, startProgram } from './program.ts';

const readyMs = 180_000; // a start with 10,000 routes may be slow
const stopMs = 3_000;

/** A folder for configs and logs that is removed when the benchmark ends, however it ends. */
export const scratch = mkdtempSync(join(tmpdir(), 'gateway-bench-'));

// program.ts has registered its listener before, so the processes are dead when their folder is removed.
process.once('exit', () => rmSync(scratch, { recursive: true, force: true, maxRetries: 5 }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

/** A program to start. With `logFile`, stdout goes to that file; without it, its end is kept in memory. */
export interface BenchCommand {
  words: string[];
  env?: Record<string, string>;
  core?: number;
  logFile?: string;
}

/** A process of the benchmark or of a storm. */
export interface BenchProcess extends Pick<Program, 'pid' | 'hasEnded'> {
  /** Resolves with stdout when the exit code is 0; rejects with an Error that contains stderr otherwise. */
  readonly finished: Promise<string>;
  /** Sends SIGTERM, and SIGKILL after 3 s. */
  stop(): Promise<void>;
}

/** Starts a process without a shell. The end of the benchmark kills it. */
export function startBenchProcess({ words, env, core, logFile }: BenchCommand): BenchProcess {
  const log = logFile === undefined ? 'pipe' : openSync(logFile, 'w');
  const program = startProgram(pinned(words, core), { env, stdio: ['ignore', log, 'pipe'] });
  if (typeof log === 'number') closeSync(log);
  const { child, pid, hasEnded } = program;
  const [output, complaint] = [collectText(child.stdout, 100_000), collectText(child.stderr, 10_000)];
  const finished = program.ended.then(({ code, signal }) => {
    if (code === 0) return output();
    const reason = (complaint() || output()).trim().slice(-600);
    throw new Error(`${words[0]} ended with ${code ?? signal}: ${reason}`);
  });
  finished.catch(() => {}); // a process that is stopped has no other reader of this
  return {
    pid,
    hasEnded,
    finished,
    async stop() {
      if (!hasEnded()) await program.stop(stopMs);
    },
  };
}

/** Waits until the process is ready. Throws when it ends first, or after three minutes. */
export async function untilReady(running: BenchProcess, isReady: () => Promise<boolean>): Promise<void> {
  if (await becomesReady(running, isReady, readyMs)) return;
  if (!running.hasEnded()) throw new CliError(`not ready after ${readyMs / 1000} s`);
  await running.finished;
  throw new Error('the process ended before it was ready');
}
