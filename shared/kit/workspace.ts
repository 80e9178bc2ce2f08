import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../cli/cli-error.ts';
import { listPhases, type Phase, root } from '../cli/phases.ts';

/** What starts the gateway of the workspace; it is run in the root folder. */
export const workspaceCommand: readonly string[] = ['node', '--import', 'tsx', 'workspace/server.ts'];

/** Absolute path of the learner's folder, which git ignores. It may not exist. */
export function workspacePath(): string {
  return join(root, 'workspace');
}

/** The phase that the workspace is to become; undefined when there is no workspace. */
export function workspacePhase(): Phase | undefined {
  const mark = markFile();
  if (!existsSync(mark)) return undefined;
  const word = readFileSync(mark, 'utf8').trim();
  const phase = listPhases().find(({ number }) => String(number) === word);
  if (phase) return phase;
  throw new CliError(
    `workspace/.phase says "${word}", which is no phase. Write the number of the phase you work on into it.`,
  );
}

/** The phase that the workspace is to become; without a workspace a CliError says how to get one. */
export function requireWorkspace(): Phase {
  const phase = workspacePhase();
  if (phase) return phase;
  throw new CliError('There is no workspace yet. Next: npm run learn -- 1 (or the phase you want to write)');
}

/** Notes in the workspace, which must exist, the phase it is to become. */
export function markWorkspace(phase: Phase): void {
  writeFileSync(markFile(), `${phase.number}\n`);
}

function markFile(): string {
  return join(workspacePath(), '.phase');
}
