import { join } from 'node:path';
import { requireWorkspace } from '../kit/workspace/workspace.ts';
import { listWorkspacePairs } from '../kit/workspace/workspace-pairs.ts';
import { runPairs } from '../ladder/climb.ts';
import { type Cell, formatCell, readMarkdown } from '../ladder/grid.ts';
import { type Counts, formatCounts, sum } from '../process/vitest.ts';
import { readJournal } from '../repository/journal.ts';
import type { Pair } from '../repository/pairs.ts';
import { readText } from '../repository/phase-files.ts';
import { listPhases, type Phase, root } from '../repository/phases.ts';
import { listSteps } from '../repository/steps.ts';
import { readArguments } from '../terminal/arguments.ts';
import { runCommand } from '../terminal/cli-error.ts';
import { count } from '../terminal/count.ts';
import { refuseWords } from '../terminal/option-values.ts';
import { toText } from '../terminal/table.ts';

const usage = `npm run progress

Prints the steps of your phase, the ladder with a row for your workspace, and what you have done with drill, break and hint.
Only the workspace is tested. The rows of the phases come from README.md; npm run ladder measures them again.
  --help   this text`;

await runCommand(async () => {
  const { values, positionals } = readArguments(usage, { help: { type: 'boolean', short: 'h' } });
  if (values.help) return console.log(usage);
  refuseWords(usage, positionals);
  const phase = requireWorkspace();
  const pairs = listWorkspacePairs();
  console.log('Every suite is run against the workspace, which takes some minutes.');
  const { cells, outcomes } = await runPairs(pairs, showRun(pairs));
  const own = pairs.find(({ suite }) => suite === phase.number);
  // vitest sets it when tests fail. Here failed tests are a result, not an error.
  process.exitCode = 0;
  console.log(`\n${formatSteps(phase, outcomes.get(own?.project ?? '')?.files)}`);
  const parts = [formatLadder(phase, cells), describeSkips(cells), formatJournal(), nextStep(phase, cells)];
  console.log(`\n${parts.filter(Boolean).join('\n\n')}`);
});

/** Returns what takes the lines of a run: on a terminal it counts the files, and it prints the messages of the suites. */
function showRun(pairs: Pair[]): (line: string) => void {
  let files = 0;
  return (line) => {
    if (!pairs.some(({ project }) => line.trimStart().startsWith(project))) return console.log(line);
    files += 1;
    if (process.stderr.isTTY) process.stderr.write(`  ${count(files, 'file')}\r`);
  };
}

/** Why the steps may have fewer sentences than the ladder: '' when none was skipped. */
function describeSkips(cells: Cell[]): string {
  const { skipped } = sum(cells.filter(({ mustPass }) => mustPass).map(({ counts }) => counts));
  if (skipped === 0) return '';
  return `${count(skipped, 'sentence')} ${skipped === 1 ? 'was' : 'were'} skipped: this machine or this gateway lacks what ${skipped === 1 ? 'it needs' : 'they need'}. The rows of the phases count skipped sentences as kept.`;
}

/** A row for each step of the phase. */
function formatSteps({ number }: Phase, files: Map<string, Counts> | undefined): string {
  const rows = listSteps(number).map((step) => {
    const counts = files?.get(`shared/contract/${step.file}`) ?? sum([]);
    const state = counts.failed === 0 && counts.passed > 0 ? 'kept' : 'open';
    return [`step ${step.number}`, step.title, state, formatCounts(counts)];
  });
  return toText(rows, Infinity);
}

/** The row of the workspace comes after the row of its phase. */
function formatLadder(phase: Phase, cells: Cell[]): string {
  const [, ...rows] = readMarkdown(readText(join(root, 'README.md')));
  const place = rows.findIndex(([name]) => name === phase.name) + 1 || rows.length;
  const head = ['phase', ...cells.map(({ suite }) => `suite ${suite}`)];
  return toText([head, ...rows.toSpliced(place, 0, ['workspace', ...cells.map(formatCell)])], Infinity);
}

/** Drills, hunts and hints so far. */
function formatJournal(): string {
  const { drills, hunts, hints } = readJournal();
  const right = Object.values(drills).filter(Boolean).length;
  const found = Object.values(hunts).filter(Boolean).length;
  const suites = Object.keys(hints).map((name) => name.split(':', 1)[0]);
  const read = [...new Set(suites)]
    .sort()
    .map((suite) => `${suites.filter((each) => each === suite).length} of suite ${suite}`);
  return toText(
    [
      ['drills', `${Object.keys(drills).length} run, ${right} predicted`],
      ['mistakes', `${found} found, ${Object.keys(hunts).length - found} revealed`],
      ['hints', read.length > 0 ? `read for sentences: ${read.join(', ')}` : 'none read'],
    ],
    Infinity,
  );
}

function nextStep(phase: Phase, cells: Cell[]): string {
  const open = cells.find(({ mustPass, counts }) => mustPass && (counts.failed > 0 || counts.passed === 0));
  if (open) return `Suite ${open.suite} is the lowest that fails. Next: npm run verify -- ${phase.number}`;
  const done = `Your gateway keeps the contract of phase ${phase.number}.`;
  const next = listPhases().find(({ number }) => number > phase.number);
  const step = next
    ? `npm run learn -- ${next.number} --from mine`
    : 'docs/adding-a-phase.md, to add a phase of your own';
  return `${done} Next: npm run compare -- ${phase.number}, then ${step}`;
}
