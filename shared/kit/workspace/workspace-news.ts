import type { Phase } from '../../repository/phases.ts';
import { phaseBefore } from './fresh-workspace.ts';
import type { Acceptance, Origin } from './origin.ts';
import type { Save } from './saves.ts';
import { tryStart } from './try-start.ts';

/** Says where the copy is and how to restore it. */
export function describeSave({ name }: Save): string {
  return `Your files were saved in workspace-saves/${name}. To restore them: npm run reset -- --restore ${name}`;
}

/** Starts a new workspace once, and says what it contains, whether it starts, and what to do next. */
export async function describeStart(
  phase: Phase,
  origin: Origin,
  acceptances: Acceptance[],
): Promise<string> {
  const before = phaseBefore(phase);
  const what = {
    reference: `a copy of ${before?.name}`,
    mine: 'your own gateway, to be continued',
    first: 'a first gateway in four steps, in server.ts',
    empty: 'a server that answers 200 to GET /health and 501 to every other request',
  };
  const complaint = await tryStart(phase);
  return [
    `workspace/ is ready for ${phase.name}: ${what[origin]}.`,
    '',
    '  gateway.json  the demo config of the phase',
    ...describeAcceptances(acceptances),
    '  PHASE.md      what the phase must do',
    '  TASK.md       the first step of it',
    '',
    ...(complaint === undefined
      ? ['It starts and answers GET /health.']
      : ['It does not start yet with the config of this phase. It printed:', '', indent(complaint), '']),
    `Next: read workspace/TASK.md, then see what fails: npm run verify -- ${phase.number}`,
  ].join('\n');
}

function describeAcceptances(acceptances: Acceptance[]): string[] {
  const files = [...new Set(acceptances.map(({ file }) => file))];
  return files.map((file) => {
    const fields = acceptances.filter((each) => each.file === file).map(({ field }) => `"${field.path}"`);
    return file === undefined
      ? `  !             let your config accept ${fields.join(' and ')}: no zod object was found to add it to`
      : `  ${file.padEnd(12)}  accepts ${fields.join(' and ')} without a check, so that the gateway starts`;
  });
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
