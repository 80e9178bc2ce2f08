import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll } from 'vitest';
import { root } from '../shared/cli/phases.ts';

/** A process of a test; what is left of them ends with the test file. */
export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  stdout(): string;
  stderr(): string;
  /** Both streams, for messages. */
  output(): string;
}

const running = new Set<ChildProcess>();

function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

// A worker that is torn down early must leave no process behind.
process.once('exit', killAll);

afterAll(async () => {
  // Not 'close': it waits for everybody who has inherited the streams.
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
): Running {
  const child = spawn(file, words, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    output += text;
  });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  child.once('exit', () => running.delete(child));
  return { child, ended, stdout: () => stdout, stderr: () => stderr, output: () => output };
}

/** Runs a script of the repository to its end, without npm and colours. */
export async function runScript(
  script: string,
  words: string[],
  env: NodeJS.ProcessEnv = {},
  cwd = root,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { ended, stdout, stderr } = startScript(script, words, env, cwd);
  const code = await ended;
  return { code, stdout: stdout(), stderr: stderr() };
}

/** Starts a script of the repository, without npm and colours. */
export function startScript(
  script: string,
  words: string[],
  env: NodeJS.ProcessEnv = {},
  cwd = root,
): Running {
  const plain = { REDIS_URL: '', NO_COLOR: '1', FORCE_COLOR: undefined, ...env };
  return startProcess(process.execPath, ['--import', 'tsx', script, ...words], plain, cwd);
}
