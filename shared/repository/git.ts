import { spawnSync } from 'node:child_process';
import { CliError } from '../terminal/cli-error.ts';
import { root } from './phases.ts';

/** Runs git in the root folder and returns the result. Throws a CliError when git cannot be started. */
export function git(words: string[], input?: string | Buffer) {
  const result = spawnSync('git', words, { cwd: root, input, encoding: 'utf8', maxBuffer: Infinity });
  if (!result.error) return result;
  throw new CliError(
    `This command needs git, which did not start (${result.error.message}). Get it from https://git-scm.com.`,
  );
}
