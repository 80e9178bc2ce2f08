import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgsStringToArgv } from 'string-argv';
import { root } from '../../repository/phases.ts';
import { CliError } from '../../terminal/cli-error.ts';
import { requireWorkspace, workspaceCommand, workspacePath } from '../workspace/workspace.ts';

/** The gateway to be judged. */
export interface Subject {
  /** The command that starts it, in the root folder and without a shell. */
  words: readonly string[];
  /** The same, as the user wrote it. */
  command: string;
  isWorkspace: boolean;
}

/** The gateway of a command as written in `--cmd`, or that of the workspace. */
export function readSubject(cmd: string | undefined): Subject {
  if (cmd === undefined) {
    requireWorkspace();
    return { words: workspaceCommand, command: workspaceCommand.join(' '), isWorkspace: true };
  }
  const words = parseArgsStringToArgv(cmd);
  if (words.length === 0)
    throw new CliError('--cmd needs a command, such as --cmd "node my-gateway/server.js".');
  return { words, command: cmd, isWorkspace: false };
}

/** The --cmd option to repeat in another command; '' for the workspace. */
export function quoteCommand({ command, isWorkspace }: Subject): string {
  if (isWorkspace) return '';
  return command.includes('"') ? ` --cmd '${command}'` : ` --cmd "${command}"`;
}

/** The folder with the files of the gateway. Throws a CliError when its command names no file. */
export function findFolder({ words, isWorkspace }: Subject): string {
  if (isWorkspace) return workspacePath();
  for (const word of words) {
    const path = resolve(root, word);
    if (!existsSync(path)) continue;
    const folder = statSync(path).isDirectory() ? path : dirname(path);
    // Not the root folder: other files in it change while suites run.
    if (folder !== root && !folder.includes('node_modules')) return folder;
  }
  throw new CliError('--watch needs a command that names a file or folder to watch, below the root folder.');
}
