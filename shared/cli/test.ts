import { printHeading, printProblems, runChecks, runTests } from '../ladder/checks.ts';
import { climbLadder } from '../ladder/climb.ts';
import { formatGrid } from '../ladder/grid.ts';
import { formatCounts, sum } from '../process/vitest.ts';
import { listPairs, pickOwnAndNewest } from '../repository/pairs.ts';
import { listPhases } from '../repository/phases.ts';
import { runCommand } from '../terminal/cli-error.ts';

// npm test: the fastest checks first. The whole ladder, the mutants and the kit have commands of their own.
async function main(): Promise<void> {
  const counts = await runChecks();

  printHeading('Commands: what the scripts of package.json do');
  counts.push(...(await runTests(['commands'])));

  // npm run ladder sends ten times as many random byte sequences.
  process.env.ANY_BYTES_CASES ??= '2000';
  printHeading('Contract: every suite against its own phase and against the newest');
  const phases = listPhases();
  const climb = await climbLadder(pickOwnAndNewest(listPairs(phases)), console.log);
  console.log(`\n${formatGrid(climb.cells)}`);
  printProblems(climb.problems);
  counts.push(climb.counts);

  const total = sum(counts);
  process.exitCode = total.failed > 0 ? 1 : 0;
  console.log(`\n${formatCounts(total)}`);
  if (total.failed === 0)
    console.log('Next: npm run ladder, npm run mutants -- --quick and npm run test:kit check the rest.');
}

await runCommand(main);
