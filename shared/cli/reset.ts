import { checkOrigin, defaultOrigin, fillWorkspace } from '../kit/workspace/fresh-workspace.ts';
import { findSave, listSaves, restoreSave, saveWorkspace } from '../kit/workspace/saves.ts';
import { requireWorkspace, workspacePhase } from '../kit/workspace/workspace.ts';
import { describeSave, describeStart } from '../kit/workspace/workspace-news.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { refuseWords } from '../terminal/option-values.ts';

const usage = `npm run reset -- [options]

Starts the phase of your workspace again, from the phase before it; phase 1 from a first gateway in one file. Your files
are always saved first.
  --from empty     begin with a server that answers only GET /health
  --list           the saved copies
  --restore NAME   replace the workspace by a saved copy; last is the newest one
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
    return 'No copy of a workspace was saved yet. npm run reset, learn and rescue make one.';
  return [
    ...saves.map(({ name, files }) => `  ${name}   ${files} ${files === 1 ? 'file' : 'files'}`),
    '',
    'They are in workspace-saves/; delete those that you no longer need.',
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
    `workspace/ was restored from ${save.name}.`,
    phase ? `Next: npm run verify -- ${phase.number}` : 'Next: npm run learn -- --help',
  ].join('\n');
}

async function reset(from: string | undefined): Promise<void> {
  const phase = requireWorkspace();
  const origin = from ?? defaultOrigin(phase);
  if (origin !== 'reference' && origin !== 'first' && origin !== 'empty') {
    throw new CliError(
      `--from takes reference, first or empty, not "${from}". To restore your own files: npm run reset -- --list`,
    );
  }
  checkOrigin(phase, origin);
  const save = saveWorkspace();
  if (save) console.log(`${describeSave(save)}\n`);
  console.log(await describeStart(phase, origin, await fillWorkspace(phase, origin)));
}
