import { join } from 'node:path';
import { readArguments } from '../cli/arguments.ts';
import { runCommand } from '../cli/cli-error.ts';
import { runPairs } from '../cli/climb-ladder.ts';
import { alignTable, type Cell, formatCell, readMarkdown } from '../cli/ladder-grid.ts';
import { refuseWords } from '../cli/option-values.ts';
import { readText } from '../cli/phase-files.ts';
import { listPhases, type Phase, root } from '../cli/phases.ts';
import { requireWorkspace } from './workspace.ts';
import { listWorkspacePairs } from './workspace-pairs.ts';

const usage = `npm run progress

The ladder with a row for your workspace. Its suites are run; the rows of the phases are those of README.md,
which npm run ladder makes anew.
  --help   this text`;

await runCommand(async () => {
  const { values, positionals } = readArguments(usage, { help: { type: 'boolean', short: 'h' } });
  if (values.help) return console.log(usage);
  refuseWords(usage, positionals);
  const phase = requireWorkspace();
  const { cells } = await runPairs(listWorkspacePairs(), console.log);
  // Failed tests set it; here they are the answer, not an error.
  process.exitCode = 0;
  console.log(`\n${formatLadder(phase, cells)}\n\n${nextStep(phase, cells)}`);
});

/** The row of the workspace stands below the phase it is to become. */
function formatLadder(phase: Phase, cells: Cell[]): string {
  const [, ...rows] = readMarkdown(readText(join(root, 'README.md')));
  const place = rows.findIndex(([name]) => name === phase.name) + 1 || rows.length;
  const head = ['phase', ...cells.map(({ suite }) => `suite ${suite}`)];
  return alignTable([head, ...rows.toSpliced(place, 0, ['workspace', ...cells.map(formatCell)])]);
}

function nextStep(phase: Phase, cells: Cell[]): string {
  const open = cells.find(({ mustPass, counts }) => mustPass && (counts.failed > 0 || counts.passed === 0));
  if (open) return `Suite ${open.suite} is the lowest that fails. Next: npm run verify -- ${phase.number}`;
  const done = `Your gateway keeps every promise of phase ${phase.number}.`;
  const next = listPhases().find(({ number }) => number > phase.number);
  const step = next
    ? `npm run learn -- ${next.number} --from mine`
    : 'docs/adding-a-phase.md, for a phase that nobody has written yet';
  return `${done} Next: npm run compare -- ${phase.number}, then ${step}`;
}
