import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listPhases, type Phase, root } from '../../repository/phases.ts';
import { CliError } from '../../terminal/cli-error.ts';

/** The command that starts the gateway of the workspace. It runs in the root folder. */
export const workspaceCommand: readonly string[] = ['node', '--import', 'tsx', 'workspace/server.ts'];

/** Absolute path of the learner's folder, which git ignores. It may not exist. */
export function workspacePath(): string {
  return join(root, 'workspace');
}

/** The phase that the learner writes in workspace/; undefined without a valid workspace/.phase. */
export function workspacePhase(): Phase | undefined {
  const mark = readMark();
  return listPhases().find(({ number }) => String(number) === mark);
}

/** The phase that the learner writes in workspace/. Without a workspace a CliError says how to make one. */
export function requireWorkspace(): Phase {
  const phase = workspacePhase();
  if (phase) return phase;
  const mark = readMark();
  if (mark === undefined) {
    const state = existsSync(workspacePath()) ? 'workspace/ has no file .phase' : 'There is no workspace yet';
    throw new CliError(`${state}. Next: npm run learn -- 1 (or the phase that you want to write)`);
  }
  throw new CliError(
    `workspace/.phase contains "${mark}", which is not a phase. Next: write the number of your phase into that file.`,
  );
}

/** Writes the number of the phase to workspace/.phase. The folder must exist. */
export function markWorkspace(phase: Phase): void {
  writeFileSync(markFile(), `${phase.number}\n`);
}

function readMark(): string | undefined {
  return existsSync(markFile()) ? readFileSync(markFile(), 'utf8').trim() : undefined;
}

function markFile(): string {
  return join(workspacePath(), '.phase');
}
