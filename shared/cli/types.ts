import { checkAllTypes } from '../repository/type-check.ts';
import { runCommand } from '../terminal/cli-error.ts';

// npm run types
async function main(): Promise<void> {
  const reports = await checkAllTypes();
  console.log(reports.join('') || 'No type errors in shared/, in test/, and in each phase alone.');
  if (reports.some((report) => report !== '')) process.exitCode = 1;
}

await runCommand(main);
