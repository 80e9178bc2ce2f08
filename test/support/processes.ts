import { afterAll } from 'vitest';
import { collectText, endEveryProgram, type Program, startProgram } from '../../shared/process/program.ts';
import { root } from '../../shared/repository/phases.ts';

/** A program of a test. Programs that still run are killed at the end of the test file. */
export interface TestProcess extends Pick<Program, 'child' | 'hasEnded'> {
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
  stdout(): string;
  /** Both streams, for messages. */
  output(): string;
}

afterAll(endEveryProgram);

/** Starts a program in the root of the repository, or in another folder. */
export function startProcess(words: readonly string[], env: NodeJS.ProcessEnv = {}, cwd = root): TestProcess {
  const { child, hasEnded, ended } = startProgram(words, { cwd, env });
  const [stdout, stderr] = [collectText(child.stdout), collectText(child.stderr)];
  return {
    child,
    hasEnded,
    ended: ended.then(({ code }) => code),
    stdout,
    output: () => stdout() + stderr(),
  };
}
