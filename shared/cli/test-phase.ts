import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { listPairs } from '../repository/pairs.ts';
import { findPhase, listPhases, root } from '../repository/phases.ts';
import { runCommand } from '../terminal/cli-error.ts';

// npm run test:phase:N runs the suites that phase N must pass. Further words go to vitest, such as -t "a test name".
function main(): void {
  const [word, ...rest] = process.argv.slice(2);
  const { number, name } = findPhase(word);
  const projects = listPairs(listPhases())
    .filter(({ phase, mustPass }) => phase.number === number && mustPass)
    .flatMap(({ project }) => ['--project', project]);
  console.log(`Phase ${name}: its own suite and those of the phases before it`);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  // More files at a time than in a whole run, so that the result comes sooner.
  const workers = `--maxWorkers=${Math.max(4, availableParallelism())}`;
  const { status } = spawnSync(process.execPath, [vitest, 'run', workers, ...projects, ...rest], {
    cwd: root,
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
}

await runCommand(main);
