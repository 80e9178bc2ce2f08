import { fileName } from '../kit/workspace/workspace-files.ts';
import { showInPager } from '../process/pager.ts';
import { formatChange, listChanges } from '../repository/diff-text.ts';
import { comparePhases, type FileChange, inheritedLines, pickFiles } from '../repository/phase-diff.ts';
import { findPhaseFolder, listPhases, type Phase } from '../repository/phases.ts';
import { inReadingOrder } from '../repository/reading-order.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { colour } from '../terminal/colour.ts';

const usage = `npm run diff -- [FROM] [TO] [FILE ...] [options]

Shows what a phase adds: a summary of its files, then the diff. The files are in the order in which a request meets them.
On a terminal, the text is shown with $PAGER or less.
  npm run diff               the step into the newest phase
  npm run diff -- 3          the step into phase 3
  npm run diff -- 1 4        everything between two phases
  npm run diff -- 2 3 gateway.ts rate-limit.ts    only these files

  --stat        only the summary
  --name-only   only the paths of the files that differ, one per line
  --all         also the diff of README.md; without it only its lines are counted
  --help        this text`;

interface Options {
  stat?: boolean | undefined;
  'name-only'?: boolean | undefined;
  all?: boolean | undefined;
}

function main(): void {
  const { values, positionals } = readArguments(usage, {
    stat: { type: 'boolean' },
    'name-only': { type: 'boolean' },
    all: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  const files = positionals.filter((word) => word.includes('.')).map(fileName);
  const [from, to] = choosePhases(positionals.filter((word) => !word.includes('.')));
  showInPager(describe(from, to, files, values));
}

const aboutPhaseZero =
  'Phase 0 is not the parent of phase 1: they share no code. Phase 1 does by hand what the plugin of phase 0 does\n' +
  'inside, and keeps the rest of the contract.';

function choosePhases(words: string[]): [Phase, Phase] {
  if (words.length > 2) throw new CliError(`Two phases at most, not ${words.length}.\n\n${usage}`);
  if (words.length === 2) return [findPhaseFolder(words[0]), findPhaseFolder(words[1])];
  const to = findPhaseFolder(words[0]);
  const from = listPhases()
    .filter(({ number }) => number < to.number)
    .at(-1);
  if (from) return [from, to];
  throw new CliError(
    `${to.name} is the first phase: nothing comes before it. Read phases/${to.name}/README.md.`,
  );
}

function describe(from: Phase, to: Phase, files: string[], options: Options): string {
  const all = inReadingOrder(comparePhases(from.folder, to.folder));
  const changes = pickFiles(all, files, `Neither ${from.name} nor ${to.name}`);
  const differing = changes.filter(({ kind }) => kind !== 'unchanged');
  if (options['name-only']) {
    return differing
      .map(({ path, kind }) => `phases/${kind === 'removed' ? from.name : to.name}/${path}`)
      .join('\n');
  }
  if (differing.length === 0)
    return `${from.name} and ${to.name} have the same ${files.join(' and ') || 'files'}.`;
  const shown = differing.filter(({ path }) => options.all || files.length > 0 || path !== 'README.md');
  const parts = [
    colour.bold(`From ${from.name} to ${to.name}`),
    listChanges(differing, { changed: 'changed', new: 'new', removed: 'removed', unchanged: '' }) +
      (files.length > 0 ? '' : totals(changes, differing)),
    ...(from.number === 0 || to.number === 0 ? [aboutPhaseZero] : []),
    ...(options.stat
      ? []
      : shown.map((change) => formatChange(change, `phases/${from.name}`, `phases/${to.name}`))),
    ...(options.stat || shown.length === differing.length
      ? []
      : ['README.md differs too: add --all to see it.']),
    `Next: read phases/${to.name}/README.md, then start the phase: npm run phase:${to.number}`,
  ];
  return parts.join('\n\n');
}

function totals(changes: FileChange[], differing: FileChange[]): string {
  const unchanged = changes.length - differing.length;
  return [
    '',
    `  ${unchanged} ${unchanged === 1 ? 'file is' : 'files are'} unchanged.`,
    `  ${inheritedLines(changes)} lines added or removed in inherited TypeScript files.`,
  ].join('\n');
}

await runCommand(main);
