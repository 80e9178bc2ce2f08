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

/** The phase that the workspace is to become; undefined when there is no workspace, or none that says so. */
export function workspacePhase(): Phase | undefined {
  const mark = readMark();
  return listPhases().find(({ number }) => String(number) === mark);
}

/** The phase that the workspace is to become; without a workspace a CliError says how to get one. */
export function requireWorkspace(): Phase {
  const phase = workspacePhase();
  if (phase) return phase;
  const mark = readMark();
  if (mark === undefined) {
    const state = existsSync(workspacePath()) ? 'workspace/ is not whole' : 'There is no workspace yet';
    throw new CliError(`${state}. Next: npm run learn -- 1 (or the phase that you want to write)`);
  }
  throw new CliError(
    `workspace/.phase says "${mark}", which is no phase. Next: write the number of yours into that file.`,
  );
}

/** Notes in the workspace, which must exist, the phase it is to become. */
export function markWorkspace(phase: Phase): void {
  writeFileSync(markFile(), `${phase.number}\n`);
}

function readMark(): string | undefined {
  return existsSync(markFile()) ? readFileSync(markFile(), 'utf8').trim() : undefined;
}

function markFile(): string {
  return join(workspacePath(), '.phase');
}
