import { runCommand } from './cli-error.ts';
import { readRunOptions } from './run-options.ts';
import { runPhase } from './run-phase.ts';

await runCommand(async () => {
  const options = readRunOptions();
  if (options) process.exitCode = await runPhase(options);
});
