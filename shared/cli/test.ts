import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { climbLadder } from '../ladder/climb.ts';
import { formatGrid } from '../ladder/grid.ts';
import { huntMutants } from '../mutants/hunt.ts';
import { findProblem } from '../mutants/kill-table.ts';
import { listMutants } from '../mutants/mutant.ts';
import { isQuick } from '../mutants/quick-mutants.ts';
import type { MutantVerdict } from '../mutants/verdict.ts';
import { type Counts, formatCounts, runProjects, sum } from '../process/vitest.ts';
import { listPhases, root } from '../repository/phases.ts';
import { checkAllTypes } from '../repository/type-check.ts';
import { runCommand } from '../terminal/cli-error.ts';
import { colour } from '../terminal/colour.ts';

// npm test runs all checks, the fastest ones first. The last line counts the tests. Each type check, the lint check,
// each pair of the ladder that must fail, and each mutant count as one test.
async function main(): Promise<void> {
  const counts: Counts[] = [];

  printHeading('Types: shared/ and test/, and each phase alone');
  counts.push(await countTypeChecks());

  printHeading('Lint and format: biome check');
  counts.push(runTool('@biomejs/biome/bin/biome', 'check', '.'));

  printHeading('Structure: test/');
  for (const structure of (await runProjects(['structure'], console.log)).values()) {
    printProblems(structure.failures);
    counts.push(structure.counts);
  }

  printHeading('Ladder: every suite against every phase');
  const ladder = await climbLadder(console.log);
  console.log(`\n${formatGrid(ladder.cells)}`);
  printProblems(ladder.problems);
  counts.push(ladder.counts);

  printHeading('Mutants: mistakes that the contract must notice');
  const verdicts = await huntMutants(listPhases().flatMap(listMutants).filter(isQuick), false, console.log);
  printProblems(verdicts.flatMap((verdict) => findProblem(verdict) ?? []));
  counts.push(...verdicts.map(countVerdict));

  const total = sum(counts);
  process.exitCode = total.failed > 0 ? 1 : 0;
  console.log(`\n${formatCounts(total)}`);
}

function printHeading(text: string): void {
  console.log(`\n${colour.bold(text)}`);
}

function printProblems(problems: string[]): void {
  for (const problem of problems) console.log(`\n${colour.red('FAILED')} ${problem}`);
}

/** A mutant counts as one test, whatever the number of contract tests that were run against it. */
function countVerdict(verdict: MutantVerdict): Counts {
  const skipped = verdict.outcome === 'skipped' ? 1 : 0;
  const failed = findProblem(verdict) ? 1 : 0;
  return { passed: 1 - skipped - failed, failed, skipped };
}

/** Each program counts as one test. */
async function countTypeChecks(): Promise<Counts> {
  const reports = await checkAllTypes();
  const errors = reports.filter((report) => report !== '');
  printProblems(errors);
  return { passed: reports.length - errors.length, failed: errors.length, skipped: 0 };
}

/** Runs a tool of node_modules; it counts as one test. */
function runTool(script: string, ...args: string[]): Counts {
  const path = join(root, 'node_modules', ...script.split('/'));
  const { status } = spawnSync(process.execPath, [path, ...args], { cwd: root, stdio: 'inherit' });
  const passed = status === 0 ? 1 : 0;
  return { passed, failed: 1 - passed, skipped: 0 };
}

await runCommand(main);
