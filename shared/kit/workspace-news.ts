import type { Phase } from '../cli/phases.ts';
import { type Acceptance, type Origin, phaseBefore } from './fresh-workspace.ts';
import type { Save } from './saves.ts';
import { tryStart } from './try-start.ts';

/** Where the copy is and how to get it back. */
export function describeSave({ name }: Save): string {
  return `Your files were saved in workspace-saves/${name}. To have them back: npm run reset -- --restore ${name}`;
}

/** Starts a new workspace once, and says what it is, whether it starts, and what to do next. */
export async function describeStart(
  phase: Phase,
  origin: Origin,
  acceptances: Acceptance[],
): Promise<string> {
  const before = phaseBefore(phase);
  const what = {
    reference: `a copy of ${before?.name}`,
    mine: 'your own gateway, carried on',
    empty: 'a server that answers GET /health, and 501 to the rest',
  };
  const complaint = await tryStart(phase);
  return [
    `workspace/ is ready for ${phase.name}: ${what[origin]}.`,
    '',
    '  gateway.json  the demo config of the phase',
    ...describeAcceptances(acceptances),
    '  TASK.md       what the phase owes',
    '',
    ...(complaint === undefined
      ? ['It starts and answers GET /health.']
      : ['It does not start yet with the config of this phase. It says:', '', indent(complaint), '']),
    `Next: read workspace/TASK.md, then see what fails: npm run verify -- ${phase.number}`,
  ].join('\n');
}

function describeAcceptances(acceptances: Acceptance[]): string[] {
  const files = [...new Set(acceptances.map(({ file }) => file))];
  return files.map((file) => {
    const fields = acceptances.filter((each) => each.file === file).map(({ field }) => `"${field.path}"`);
    return file === undefined
      ? `  !             let your config accept ${fields.join(' and ')}: no zod object was found that could`
      : `  ${file.padEnd(12)}  lets ${fields.join(' and ')} in unseen, so that the gateway starts`;
  });
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
