import { comparePhases, type FileChange } from '../cli/phase-diff.ts';
import type { Phase } from '../cli/phases.ts';
import { workspacePath } from './workspace.ts';

// What the kit put there, and what belongs to no phase.
const notCompared = /^(?:TASK\.md|tsconfig\.json|README\.md|package(?:-lock)?\.json)$|(?:^|\/)node_modules\//;

/** The files of the workspace beside those of a phase: 'removed' is only the learner's, 'new' only the reference's. */
export function compareWorkspace(phase: Phase): FileChange[] {
  return comparePhases(workspacePath(), phase.folder).filter(({ path }) => !notCompared.test(path));
}

/** The name of a file in its folder, however it was completed: `workspace/route.ts`, `phases/1-routing/route.ts`. */
export function fileName(word: string): string {
  return word.replace(/^(?:\.\/)?(?:workspace|phases\/[^/]+)\//, '');
}
