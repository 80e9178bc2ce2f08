import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type Counts, runProjects } from '../process/vitest.ts';
import { root } from '../repository/phases.ts';
import { checkAllTypes } from '../repository/type-check.ts';
import { colour } from '../terminal/colour.ts';

/**
 * The checks that start no gateway: types, lint, and the structure of the repository. Each program of the type check
 * counts as one test, and so does the lint check.
 */
export async function runChecks(): Promise<Counts[]> {
  printHeading('Types: shared/ and test/, and each phase alone');
  const types = await countTypeChecks();

  printHeading('Lint and format: biome check');
  const lint = runTool('@biomejs/biome/bin/biome', 'check', '.');

  printHeading('Structure: the files of the repository');
  return [types, lint, ...(await runTests(['structure']))];
}

/** Runs vitest projects of test/, and prints what fails. */
export async function runTests(projects: string[]): Promise<Counts[]> {
  const outcomes = [...(await runProjects(projects, console.log)).values()];
  printProblems(outcomes.flatMap(({ failures }) => failures));
  return outcomes.map(({ counts }) => counts);
}

/** Prints the name of the checks that follow. */
export function printHeading(text: string): void {
  console.log(`\n${colour.bold(text)}`);
}

/** Prints each problem as a paragraph. */
export function printProblems(problems: string[]): void {
  for (const problem of problems) console.log(`\n${colour.red('FAILED')} ${problem}`);
}

async function countTypeChecks(): Promise<Counts> {
  const reports = await checkAllTypes();
  const errors = reports.filter((report) => report !== '');
  printProblems(errors);
  return { passed: reports.length - errors.length, failed: errors.length, skipped: 0 };
}

function runTool(script: string, ...args: string[]): Counts {
  const path = join(root, 'node_modules', ...script.split('/'));
  const { status } = spawnSync(process.execPath, [path, ...args], { cwd: root, stdio: 'inherit' });
  const passed = status === 0 ? 1 : 0;
  return { passed, failed: 1 - passed, skipped: 0 };
}
