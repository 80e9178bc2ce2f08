import { formatPatch, structuredPatch } from 'diff';
import { readArguments } from './arguments.ts';
import { CliError, runCommand } from './cli-error.ts';
import { colour } from './colour.ts';
import { comparePhases, type FileChange, inheritedLines } from './phase-diff.ts';
import { findPhase, listPhases, type Phase } from './phases.ts';

const usage = `npm run diff -- [FROM] [TO] [options]

Shows what a phase adds: a summary of its files, then the diff.
  npm run diff               the step into the newest phase
  npm run diff -- 3          the step into phase 3
  npm run diff -- 1 4        everything between two phases

  --stat        the summary alone
  --name-only   the paths of the files that differ, one per line
  --all         the diff of README.md too; without it only its lines are counted
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
  if (values.help) console.log(usage);
  else console.log(describe(...choosePhases(positionals), values));
}

function choosePhases(words: string[]): [Phase, Phase] {
  if (words.length > 2) throw new CliError(`Two phases at most, not ${words.length}.\n\n${usage}`);
  if (words.length === 2) return [findPhase(words[0]), findPhase(words[1])];
  const to = findPhase(words[0]);
  const from = listPhases()
    .filter(({ number }) => number < to.number)
    .at(-1);
  if (from) return [from, to];
  throw new CliError(
    `${to.name} is the first phase: nothing comes before it. Read phases/${to.name}/README.md.`,
  );
}

function describe(from: Phase, to: Phase, options: Options): string {
  const changes = comparePhases(from.folder, to.folder);
  const differing = changes.filter(({ kind }) => kind !== 'unchanged').sort(byReadingOrder);
  if (options['name-only']) {
    return differing
      .map(({ path, kind }) => `phases/${kind === 'removed' ? from.name : to.name}/${path}`)
      .join('\n');
  }
  if (differing.length === 0) return `${from.name} and ${to.name} have the same files.`;
  const shown = differing.filter(({ path }) => options.all || path !== 'README.md');
  const parts = [
    colour.bold(`From ${from.name} to ${to.name}`),
    summary(changes, differing),
    ...(options.stat ? [] : shown.map((change) => patch(change, from, to))),
    ...(options.stat || shown.length === differing.length
      ? []
      : ['README.md differs too: add --all to see it.']),
    `Next: read phases/${to.name}/README.md, then start the phase: npm run phase:${to.number}`,
  ];
  return parts.join('\n\n');
}

/** Inherited files first, for they show where a phase hooks in; the README last. */
function byReadingOrder(a: FileChange, b: FileChange): number {
  const rank = ({ path, kind }: FileChange) =>
    path === 'README.md' ? 3 : ['changed', 'new', 'removed'].indexOf(kind);
  return rank(a) - rank(b);
}

function summary(changes: FileChange[], differing: FileChange[]): string {
  const width = Math.max(...differing.map(({ path }) => path.length));
  const rows = differing.map(({ path, kind, added, removed }) => {
    const counts = [added && colour.green(`+${added}`), removed && colour.red(`-${removed}`)].filter(Boolean);
    return `  ${kind.padEnd(8)} ${path.padEnd(width)}  ${counts.join(' ')}`;
  });
  const unchanged = changes.length - differing.length;
  return [
    ...rows,
    `  ${unchanged} ${unchanged === 1 ? 'file is' : 'files are'} unchanged.`,
    `  ${inheritedLines(changes)} lines added or removed in inherited TypeScript files.`,
  ].join('\n');
}

function patch({ path, kind, before, after }: FileChange, from: Phase, to: Phase): string {
  const name = (phase: Phase, absent: FileChange['kind']) =>
    kind === absent ? '/dev/null' : `phases/${phase.name}/${path}`;
  const lines = formatPatch(
    structuredPatch(name(from, 'new'), name(to, 'removed'), before, after, '', '', { context: 3 }),
    {
      includeIndex: false,
      includeUnderline: false,
      includeFileHeaders: true,
    },
  );
  return lines.trimEnd().split('\n').map(paintLine).join('\n');
}

function paintLine(line: string): string {
  if (line.startsWith('---') || line.startsWith('+++')) return colour.bold(line);
  if (line.startsWith('@@')) return colour.cyan(line);
  if (line.startsWith('+')) return colour.green(line);
  if (line.startsWith('-')) return colour.red(line);
  return line;
}

// `npm run diff | head` closes the pipe early: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

await runCommand(main);
