import { readArguments } from '../cli/arguments.ts';
import { CliError, runCommand } from '../cli/cli-error.ts';
import { refuseWords } from '../cli/option-values.ts';
import { fillWorkspace, phaseBefore } from './fresh-workspace.ts';
import { findSave, listSaves, restoreSave, saveWorkspace } from './saves.ts';
import { requireWorkspace, workspacePhase } from './workspace.ts';
import { describeSave, describeStart } from './workspace-news.ts';

const usage = `npm run reset -- [options]

Begins the phase of your workspace anew, from the phase before it. What is there is saved first, always.
  --from empty     begin with next to nothing instead
  --list           the saved copies
  --restore NAME   put a saved copy into the place of the workspace; last is the newest one
  --help           this text`;

await runCommand(async () => {
  const { values, positionals } = readArguments(usage, {
    from: { type: 'string' },
    list: { type: 'boolean', default: false },
    restore: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  refuseWords(usage, positionals);
  if (values.list) console.log(list());
  else if (values.restore !== undefined) console.log(restore(values.restore));
  else await reset(values.from);
});

function list(): string {
  const saves = listSaves();
  if (saves.length === 0)
    return 'No copy of a workspace was saved yet. npm run reset makes one, and so do learn and rescue.';
  return [
    ...saves.map(({ name, files }) => `  ${name}   ${files} ${files === 1 ? 'file' : 'files'}`),
    '',
    'They are in workspace-saves/; delete what you no longer want.',
    `Next: npm run reset -- --restore ${saves.at(-1)?.name}`,
  ].join('\n');
}

function restore(name: string): string {
  const save = findSave(name);
  const current = saveWorkspace();
  restoreSave(save);
  const phase = workspacePhase();
  return [
    ...(current ? [describeSave(current)] : []),
    `workspace/ is what it was in ${save.name}.`,
    phase ? `Next: npm run verify -- ${phase.number}` : 'Next: npm run learn -- --help',
  ].join('\n');
}

async function reset(from: string | undefined): Promise<void> {
  const phase = requireWorkspace();
  const origin = from ?? (phaseBefore(phase) ? 'reference' : 'empty');
  if (origin !== 'reference' && origin !== 'empty') {
    throw new CliError(
      `--from takes reference or empty, not "${from}". To go back to files of your own: npm run reset -- --list`,
    );
  }
  const save = saveWorkspace();
  if (save) console.log(`${describeSave(save)}\n`);
  console.log(await describeStart(phase, origin, await fillWorkspace(phase, origin)));
}
