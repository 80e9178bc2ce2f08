import { requireWorkspace } from '../kit/workspace/workspace.ts';
import { compareWorkspace, fileName } from '../kit/workspace/workspace-files.ts';
import { byReadingOrder, formatChange, listChanges } from '../repository/diff-text.ts';
import type { FileChange } from '../repository/phase-diff.ts';
import { findPhase, type Phase } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
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
  console.log(describe(phase, own, pickFiles(compareWorkspace(phase), files), values.stat));
});

function pickFiles(changes: FileChange[], files: string[]): FileChange[] {
  const unknown = files.find((file) => !changes.some(({ path }) => path === file));
  if (unknown === undefined) return changes.filter(({ path }) => files.length === 0 || files.includes(path));
  const known = changes.map(({ path }) => path).join(', ');
  throw new CliError(
    `Neither the workspace nor the reference has a file "${unknown}". The files are: ${known}.`,
  );
}

function describe(phase: Phase, own: Phase, changes: FileChange[], stat: boolean): string {
  const differing = changes.filter(({ kind }) => kind !== 'unchanged').sort(byReadingOrder);
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
