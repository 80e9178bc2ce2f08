import { readRunOptions } from '../run/options.ts';
import { runPhase } from '../run/run-phase.ts';
import { runCommand } from '../terminal/cli-error.ts';
import { startDemoServices } from '../upstreams/demo-services.ts';

await runCommand(async () => {
  const options = readRunOptions();
  if (options) process.exitCode = await runPhase(options, startDemoServices);
});
