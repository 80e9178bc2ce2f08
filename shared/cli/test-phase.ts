import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { runCommand } from './cli-error.ts';
import { listPairs } from './pairs.ts';
import { findPhase, listPhases, root } from './phases.ts';

// npm run test:phase:N: the suites that phase N must pass. What follows goes to vitest, such as -t "a sentence".
function main(): void {
  const [word, ...rest] = process.argv.slice(2);
  const { number, name } = findPhase(word);
  const projects = listPairs(listPhases())
    .filter(({ phase, mustPass }) => phase.number === number && mustPass)
    .flatMap(({ project }) => ['--project', project]);
  console.log(`Phase ${name}: its own suite and those of the phases before it`);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  // More files at a time than a whole run takes: somebody is waiting for the answer.
  const workers = `--maxWorkers=${Math.max(4, availableParallelism())}`;
  const { status } = spawnSync(process.execPath, [vitest, 'run', workers, ...projects, ...rest], {
    cwd: root,
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
}

await runCommand(main);
