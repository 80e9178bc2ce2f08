import { checkOrigin, defaultOrigin, fillWorkspace, phaseBefore } from '../kit/workspace/fresh-workspace.ts';
import type { Origin } from '../kit/workspace/origin.ts';
import { saveWorkspace } from '../kit/workspace/saves.ts';
import { workspacePhase } from '../kit/workspace/workspace.ts';
import { describeSave, describeStart } from '../kit/workspace/workspace-news.ts';
import { findPhase, listPhases, type Phase } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { refuseWords } from '../terminal/option-values.ts';

const usage = `npm run learn -- PHASE [options]

Makes workspace/, in which you write that phase yourself, step by step. workspace/PHASE.md describes what the phase must do,
and workspace/TASK.md is the page of the step that is next.
  --from reference   begin with a copy of the phase before it in phases/ (default)
  --from mine        continue with your own gateway of the phase before
  --from first       begin with a first gateway in one file (only for phase 1, its default)
  --from empty       begin with a server that answers only GET /health
  --help             this text

A workspace of another phase is saved first.`;

await runCommand(async () => {
  const { values, positionals } = readArguments(usage, {
    from: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  const [word, ...extra] = positionals;
  if (word === undefined) {
    throw new CliError(
      `Name a phase: ${listPhases()
        .map(({ number }) => number)
        .join(', ')}.\n\n${usage}`,
    );
  }
  refuseWords(usage, extra);
  const phase = findPhase(word);
  await learn(phase, readOrigin(values.from, phase));
});

async function learn(phase: Phase, origin: Origin): Promise<void> {
  checkWorkspace(phase, origin);
  const save = saveWorkspace();
  if (save) console.log(`${describeSave(save)}\n`);
  console.log(await describeStart(phase, origin, await fillWorkspace(phase, origin)));
}

function checkWorkspace(phase: Phase, origin: Origin): void {
  const mine = workspacePhase();
  const before = phaseBefore(phase);
  checkOrigin(phase, origin);
  if (mine?.number === phase.number) {
    throw new CliError(
      `Your workspace is for phase ${phase.number} already. Next: continue with workspace/TASK.md, ` +
        'or start again (a copy is kept): npm run reset',
    );
  }
  if (origin !== 'mine') return;
  if (!before)
    throw new CliError(`${phase.name} is the first phase: you have no earlier gateway to continue with.`);
  if (mine?.number === before.number) return;
  const present = mine ? `Your workspace is for phase ${mine.number}` : 'There is no workspace';
  throw new CliError(
    `${present}, but --from mine needs one for phase ${before.number}. ` +
      `Next: npm run learn -- ${before.number}, or npm run reset -- --list to see what was saved.`,
  );
}

function readOrigin(word: string | undefined, phase: Phase): Origin {
  if (word === undefined) return defaultOrigin(phase);
  if (word === 'reference' || word === 'mine' || word === 'first' || word === 'empty') return word;
  throw new CliError(`--from takes reference, mine, first or empty, not "${word}".\n\n${usage}`);
}
