import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll } from 'vitest';
import { root } from '../../shared/repository/phases.ts';

/** A process of a test. Processes that still run are killed at the end of the test file. */
export interface TestProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  stdout(): string;
  /** Both streams, for messages. */
  output(): string;
}

const running = new Set<ChildProcess>();

function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

// A worker that ends early must leave no process behind.
process.once('exit', killAll);

afterAll(async () => {
  // Not 'close', which waits for all processes that have inherited the streams.
  const ends = [...running].map((child) => once(child, 'exit'));
  killAll();
  await Promise.all(ends);
});

/** Starts a program in the root of the repository, or in another folder. */
export function startProcess(
  file: string,
  words: string[],
  env: NodeJS.ProcessEnv = {},
  cwd = root,
): TestProcess {
  const child = spawn(file, words, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
  });
  running.add(child);
  let stdout = '';
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  child.once('exit', () => running.delete(child));
  return { child, ended, stdout: () => stdout, output: () => output };
}
