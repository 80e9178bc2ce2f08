import { runChecks } from '../ladder/checks.ts';
import { formatCounts, sum } from '../process/vitest.ts';
import { runCommand } from '../terminal/cli-error.ts';

// npm run check: what can be checked in seconds, without a gateway.
await runCommand(async () => {
  const total = sum(await runChecks());
  process.exitCode = total.failed > 0 ? 1 : 0;
  console.log(`\n${formatCounts(total)}`);
  console.log(
    `Next: ${total.failed > 0 ? 'mend what is named above, then npm run check again' : 'npm test'}`,
  );
});
