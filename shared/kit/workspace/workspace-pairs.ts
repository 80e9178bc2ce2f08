import { listPairs, type Pair } from '../../repository/pairs.ts';
import { listPhases } from '../../repository/phases.ts';
import { workspacePath, workspacePhase } from './workspace.ts';

/** Every suite against the workspace, with the number of its phase; empty without a workspace. */
export function listWorkspacePairs(): Pair[] {
  const phase = workspacePhase();
  if (!phase) return [];
  return listPairs(
    [{ ...phase, name: 'workspace', folder: workspacePath() }],
    listPhases(),
    ({ name }) => name,
  );
}
