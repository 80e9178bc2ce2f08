import { runEachAlone } from '../ladder/alone.ts';
import { climbLadder } from '../ladder/climb.ts';
import { formatGrid, formatMarkdown } from '../ladder/grid.ts';
import { formatCounts } from '../process/vitest.ts';
import { listLadderPairs, pickOwnAndNewest } from '../repository/pairs.ts';
import { listPhaseFolders } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';

const usage = `npm run ladder -- [options]

Runs every suite of the contract against every phase and prints the grid.
Phase N must pass suites 1 to N and fail all later ones; anything else ends with exit code 1. Of phase 0, the gateway of a
plugin, the grid shows how many sentences of suite 1 it keeps.
  --markdown   the grid as the Markdown table of README.md; progress goes to stderr
  --rest       only the pairs that npm test leaves out, without the sentences that measure how long clients wait
  --alone      instead of the grid, run each sentence alone against the phase of its suite; with numbers, such as
               --alone 3 5, only those of these suites
  --help       this text`;

async function main(): Promise<void> {
  const { values, positionals } = readArguments(usage, {
    markdown: { type: 'boolean', default: false },
    rest: { type: 'boolean', default: false },
    alone: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
  if (positionals.length > 0 && !values.alone)
    throw new CliError(`npm run ladder takes only options.\n\n${usage}`);
  if (values.help) console.log(usage);
  else if (values.alone) await runAlone(positionals);
  else await climb(values.rest, values.markdown);
}

async function runAlone(suites: string[]): Promise<void> {
  const own = listLadderPairs(listPhaseFolders()).filter(({ phase, suite }) => phase.number === suite);
  const unknown = suites.find((name) => !own.some(({ suite }) => String(suite) === name));
  if (unknown !== undefined) throw new CliError(`There is no suite "${unknown}".\n\n${usage}`);
  const chosen = own.filter(({ suite }) => suites.length === 0 || suites.includes(String(suite)));
  const { counts } = await runEachAlone(chosen, console.log);
  console.log(`each sentence alone: ${formatCounts(counts)}`);
  process.exitCode = 0;
  if (counts.failed > 0)
    throw new CliError('A sentence needs what another one leaves behind, or is a flake.');
}

async function climb(rest: boolean, markdown: boolean): Promise<void> {
  const all = listLadderPairs(listPhaseFolders());
  const inTest = pickOwnAndNewest(all);
  const pairs = rest ? all.filter((pair) => !inTest.includes(pair)) : all;
  if (rest) process.env.WITHOUT_FAIRNESS = 'true';
  const { cells, problems } = await climbLadder(pairs, markdown ? console.error : console.log);
  console.log(markdown ? formatMarkdown(cells) : `\n${formatGrid(cells)}\n`);
  process.exitCode = 0;
  if (problems.length > 0) throw new CliError(`${problems.join('\n\n')}\n\nThe grid is not as expected.`);
  if (!markdown) console.log('The grid is as expected. Next: npm run diff shows what the newest phase adds.');
}

await runCommand(main);
