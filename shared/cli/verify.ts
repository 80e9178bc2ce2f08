import { findFolder } from '../kit/verify/subject.ts';
import { verifyOnce } from '../kit/verify/verify-once.ts';
import { readVerifyOptions, type VerifyOptions } from '../kit/verify/verify-options.ts';
import { FolderWatch } from '../kit/verify/watch-folder.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';

// process.exit() runs the exit handlers, which end every gateway that was started.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

// 2 until there is a verdict. 1 means that sentences failed.
let exitCode = 2;
await runCommand(async () => {
  const options = readVerifyOptions();
  if (options?.watch) await watchAndVerify(options);
  const isKept = options ? (await verifyOnce(options)).isKept : true;
  exitCode = isKept ? 0 : 1;
});
// A run that was ended early may leave handles open, so the process exits here, after its output is written.
process.stdout.write('', () => process.exit(exitCode));

/** Judges after every change: first the tests that failed last time and, when they pass, all tests. */
async function watchAndVerify(options: VerifyOptions): Promise<never> {
  const folder = findFolder(options.subject);
  const changes = new FolderWatch(folder);
  let failed: string[] = [];
  for (;;) {
    try {
      if (failed.length > 0) ({ failed } = await verifyOnce(options, failed));
      if (failed.length === 0) ({ failed } = await verifyOnce(options));
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      console.error(error.message);
    }
    console.log(`\nWatching ${folder}; Ctrl-C ends.`);
    await changes.next();
    console.log(`\n${'─'.repeat(72)}\n`);
  }
}
