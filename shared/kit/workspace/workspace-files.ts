import { comparePhases, type FileChange } from '../../repository/phase-diff.ts';
import type { Phase } from '../../repository/phases.ts';
import { workspacePath } from './workspace.ts';

// Files that the kit has written, and files that are not part of a phase.
const notCompared =
  /^(?:TASK\.md|PHASE\.md|tsconfig\.json|README\.md|package(?:-lock)?\.json)$|(?:^|\/)node_modules\//;

/** Compares the workspace with a phase: 'removed' files are only in the workspace, 'new' ones only in the phase. */
export function compareWorkspace(phase: Phase): FileChange[] {
  return comparePhases(workspacePath(), phase.folder).filter(({ path }) => !notCompared.test(path));
}

/** The path of a file in its folder: `route.ts` for `workspace/route.ts` and for `phases/1-routing/route.ts`. */
export function fileName(word: string): string {
  return word.replace(/^(?:\.\/)?(?:workspace|phases\/[^/]+)\//, '');
}
