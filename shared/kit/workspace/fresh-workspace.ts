import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readPhaseFiles } from '../../repository/phase-files.ts';
import { listPhases, type Phase, root } from '../../repository/phases.ts';
import { listSteps } from '../../repository/steps.ts';
import { CliError } from '../../terminal/cli-error.ts';
import { acceptField } from './config-stub.ts';
import { findNewFields, type NewField } from './new-fields.ts';
import type { Acceptance, Origin } from './origin.ts';
import { writePhasePage } from './phase-page.ts';
import { emptyWorkspace } from './saves.ts';
import { showStep } from './task-page.ts';
import { markWorkspace, workspacePath } from './workspace.ts';

/** The phase before this one; undefined for the first. */
export function phaseBefore(phase: Phase): Phase | undefined {
  return listPhases().findLast(({ number }) => number < phase.number);
}

/** What the workspace of a phase begins with by default. */
export function defaultOrigin(phase: Phase): Origin {
  return phaseBefore(phase) ? 'reference' : 'first';
}

/** Throws a CliError when a phase cannot begin with this origin. Call it before anything is saved or deleted. */
export function checkOrigin(phase: Phase, origin: Origin): void {
  const before = phaseBefore(phase);
  if (origin === 'reference' && !before) {
    throw new CliError(
      `${phase.name} is the first phase: there is no phase before it to copy. Use --from first or --from empty.`,
    );
  }
  if (origin === 'first' && before) {
    throw new CliError(
      `--from first is a gateway for phase 1 only. For phase ${phase.number} use --from reference, mine or empty.`,
    );
  }
}

/**
 * Fills the workspace for a phase, from an origin that `checkOrigin` accepts. Unless `origin` is 'mine', its files are
 * deleted: save them before.
 */
export async function fillWorkspace(phase: Phase, origin: Origin): Promise<Acceptance[]> {
  const folder = workspacePath();
  const before = phaseBefore(phase);
  const demoConfig = readPhaseFiles(phase.folder).get('gateway.json') ?? '';
  if (origin !== 'mine') emptyWorkspace();
  if (origin === 'empty') cpSync(join(import.meta.dirname, 'empty-workspace'), folder, { recursive: true });
  if (origin === 'first') cpSync(join(root, 'shared/examples/first-gateway'), folder, { recursive: true });
  if (origin === 'reference' && before) copyPhase(before, folder);

  const known = before && readPhaseFiles(before.folder).get('gateway.json');
  const fields = origin === 'empty' || !known ? [] : findNewFields(JSON.parse(known), JSON.parse(demoConfig));
  const acceptances = fields.map((field) => accept(folder, field, phase));
  writeFileSync(join(folder, 'gateway.json'), demoConfig);
  writeFileSync(join(folder, 'tsconfig.json'), '{ "extends": "../tsconfig.json", "include": ["*.ts"] }\n');
  writeFileSync(join(folder, 'PHASE.md'), writePhasePage(phase, before, origin, acceptances));
  await showStep(phase, listSteps(phase.number)[0]);
  markWorkspace(phase);
  return acceptances;
}

function copyPhase(phase: Phase, folder: string): void {
  for (const [path, text] of readPhaseFiles(phase.folder)) {
    // The README describes the phase before, not the one to write.
    if (path !== 'README.md') writeFileSync(join(folder, path), text);
  }
}

/** Phases refuse unknown config fields. The workspace accepts the new one, so that the earlier suites can run. */
function accept(folder: string, field: NewField, phase: Phase): Acceptance {
  for (const [file, text] of readPhaseFiles(folder)) {
    if (!file.endsWith('.ts')) continue;
    const accepting = acceptField(
      text,
      field,
      `phase ${phase.number}: accepted without a check, give it a schema`,
    );
    if (accepting === undefined) continue;
    if (accepting !== text) writeFileSync(join(folder, file), accepting);
    return { field, file };
  }
  return { field, file: undefined };
}
