import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../cli/cli-error.ts';
import { readPhaseFiles } from '../cli/phase-files.ts';
import { listPhases, type Phase } from '../cli/phases.ts';
import { acceptField } from './config-stub.ts';
import { findNewFields, type NewField } from './new-fields.ts';
import { emptyWorkspace } from './saves.ts';
import { writeTask } from './task.ts';
import { markWorkspace, workspacePath } from './workspace.ts';

/** What a workspace begins with: the phase before as it stands in phases/, the learner's own, or next to nothing. */
export type Origin = 'reference' | 'mine' | 'empty';

/** What became of a config field that the phase brings. */
export interface Acceptance {
  field: NewField;
  /** The file of the workspace that accepts it now; undefined when the learner has to see to it. */
  file: string | undefined;
}

/** The phase before this one; undefined for the first. */
export function phaseBefore(phase: Phase): Phase | undefined {
  return listPhases().findLast(({ number }) => number < phase.number);
}

/** Fills the workspace for a phase. Except for 'mine', whatever is in it goes: save it before. */
export async function fillWorkspace(phase: Phase, origin: Origin): Promise<Acceptance[]> {
  const folder = workspacePath();
  const before = phaseBefore(phase);
  if (origin === 'reference' && !before) {
    throw new CliError(`${phase.name} is the first phase, so there is none to begin with: use --from empty.`);
  }
  const demoConfig = readPhaseFiles(phase.folder).get('gateway.json') ?? '';
  if (origin !== 'mine') emptyWorkspace();
  if (origin === 'empty') cpSync(join(import.meta.dirname, 'empty-workspace'), folder, { recursive: true });
  if (origin === 'reference' && before) copyPhase(before, folder);

  const known = before && readPhaseFiles(before.folder).get('gateway.json');
  const fields = origin === 'empty' || !known ? [] : findNewFields(JSON.parse(known), JSON.parse(demoConfig));
  const acceptances = fields.map((field) => accept(folder, field, phase));
  writeFileSync(join(folder, 'gateway.json'), demoConfig);
  writeFileSync(join(folder, 'tsconfig.json'), '{ "extends": "../tsconfig.json", "include": ["*.ts"] }\n');
  writeFileSync(join(folder, 'TASK.md'), await writeTask(phase, before, origin, acceptances));
  markWorkspace(phase);
  return acceptances;
}

function copyPhase(phase: Phase, folder: string): void {
  for (const [path, text] of readPhaseFiles(phase.folder)) {
    // Its README tells of a phase that this folder is about to leave.
    if (path !== 'README.md') writeFileSync(join(folder, path), text);
  }
}

/** Earlier phases refuse a field they do not know. This one is let in, so that the old sentences can be judged. */
function accept(folder: string, field: NewField, phase: Phase): Acceptance {
  for (const [file, text] of readPhaseFiles(folder)) {
    if (!file.endsWith('.ts')) continue;
    const accepting = acceptField(text, field, `phase ${phase.number}: let in unseen, give it a schema`);
    if (accepting === undefined) continue;
    if (accepting !== text) writeFileSync(join(folder, file), accepting);
    return { field, file };
  }
  return { field, file: undefined };
}
