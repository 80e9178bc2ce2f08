import { requireWorkspace } from '../kit/workspace/workspace.ts';
import { compareWorkspace, fileName } from '../kit/workspace/workspace-files.ts';
import { formatChange, listChanges } from '../repository/diff-text.ts';
import { type FileChange, pickFiles } from '../repository/phase-diff.ts';
import { findPhase, type Phase } from '../repository/phases.ts';
import { inReadingOrder } from '../repository/reading-order.ts';
import { readArguments } from '../terminal/arguments.ts';
import { runCommand } from '../terminal/cli-error.ts';
import { colour } from '../terminal/colour.ts';

const usage = `npm run compare -- [PHASE] [FILE ...] [options]

Compares your workspace with the reference, a phase in phases/. Lines with - are yours, lines with + the reference's.
Without a PHASE: the one that you are writing. With FILEs: only these files.
  --stat   only the list of files
  --help   this text`;

await runCommand(() => {
  const { values, positionals } = readArguments(usage, {
    stat: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  const own = requireWorkspace();
  const [word, ...others] = positionals;
  const isFile = word === undefined || word.includes('.');
  const phase = isFile ? own : findPhase(word);
  const files = (isFile ? positionals : others).map(fileName);
  console.log(
    describe(
      phase,
      own,
      pickFiles(compareWorkspace(phase), files, 'Neither the workspace nor the reference'),
      values.stat,
    ),
  );
});

function describe(phase: Phase, own: Phase, changes: FileChange[], stat: boolean): string {
  const differing = inReadingOrder(changes).filter(({ kind }) => kind !== 'unchanged');
  const same = changes.length - differing.length;
  const counted = same > 0 ? [`  ${same} ${same === 1 ? 'file is' : 'files are'} the same.`] : [];
  const reference = `phases/${phase.name}`;
  const words = { changed: 'differs', new: 'theirs', removed: 'yours', unchanged: '' };
  const shown = stat ? [] : differing.map((change) => formatChange(change, 'workspace', reference));
  return [
    colour.bold(`From workspace to ${reference}`),
    [listChanges(differing, words), ...counted].filter(Boolean).join('\n'),
    ...shown,
    nextStep(phase, own, differing),
  ].join('\n\n');
}

function nextStep(phase: Phase, own: Phase, differing: FileChange[]): string {
  if (phase.number !== own.number) return `Next: npm run compare -- ${own.number}, the phase you are writing`;
  if (differing.length === 0) return `Nothing differs. Next: npm run verify -- ${phase.number}`;
  const file = differing.find(({ kind }) => kind !== 'removed')?.path;
  const rescue = file ? `, or copy a file of the reference: npm run rescue -- ${phase.number} ${file}` : '';
  return `Your files may differ; only the suites decide. Next: npm run verify -- ${phase.number}${rescue}`;
}
