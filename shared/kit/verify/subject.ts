import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgsStringToArgv } from 'string-argv';
import { withoutComments } from '../../repository/imports.ts';
import { readText } from '../../repository/phase-files.ts';
import { type Phase, root } from '../../repository/phases.ts';
import { CliError } from '../../terminal/cli-error.ts';
import { requireWorkspace, workspaceCommand, workspacePath } from '../workspace/workspace.ts';

/** The gateway to be judged. */
export interface Subject {
  /** The command that starts it, in the root folder and without a shell. */
  words: readonly string[];
  /** The same, as the user wrote it. */
  command: string;
  kind: 'workspace' | 'frozen phase' | 'command';
}

/** The values of the options that choose a gateway. */
export interface SubjectValues {
  cmd?: string | undefined;
  phase: boolean;
}

/** The options that choose a gateway, for readArguments. */
export const subjectArguments = {
  cmd: { type: 'string' },
  phase: { type: 'boolean', default: false },
} as const;

/** The gateway of a command as written in `--cmd`, with `--phase` the frozen phase itself, or that of the workspace. */
export function readSubject({ cmd, phase: isFrozen }: SubjectValues, phase: Phase): Subject {
  if (isFrozen) {
    if (cmd !== undefined) throw new CliError('--phase and --cmd name two gateways: choose one of them.');
    const words = ['node', '--import', 'tsx', `phases/${phase.name}/server.ts`];
    return { words, command: words.join(' '), kind: 'frozen phase' };
  }
  if (cmd === undefined) {
    requireWorkspace();
    return { words: workspaceCommand, command: workspaceCommand.join(' '), kind: 'workspace' };
  }
  const words = parseArgsStringToArgv(cmd);
  if (words.length === 0)
    throw new CliError('--cmd needs a command, such as --cmd "node my-gateway/server.js".');
  return { words, command: cmd, kind: 'command' };
}

/** The option that names the gateway in another command, after a space; '' for the workspace. */
export function repeatOption({ command, kind }: Subject): string {
  if (kind === 'workspace') return '';
  if (kind === 'frozen phase') return ' --phase';
  return command.includes('"') ? ` --cmd '${command}'` : ` --cmd "${command}"`;
}

/** The folder with the files of the gateway. Throws a CliError when its command names no file. */
export function findFolder(subject: Subject): string {
  const folder = folderOf(subject);
  if (folder !== undefined) return folder;
  throw new CliError('--watch needs a command that names a file or folder to watch, below the root folder.');
}

/** Whether a source in the folder of the gateway imports Fastify. */
export function usesFastify(subject: Subject): boolean {
  const folder = folderOf(subject);
  if (folder === undefined) return false;
  return readdirSync(folder)
    .filter((file) => /\.[cm]?[jt]s$/.test(file))
    .some((file) => /['"]fastify['"]/.test(withoutComments(readText(join(folder, file)))));
}

function folderOf({ words, kind }: Subject): string | undefined {
  if (kind === 'workspace') return workspacePath();
  for (const word of words) {
    const path = resolve(root, word);
    if (!existsSync(path)) continue;
    const folder = statSync(path).isDirectory() ? path : dirname(path);
    // Not the root folder: other files in it change while suites run.
    if (folder !== root && !folder.includes('node_modules')) return folder;
  }
  return undefined;
}
