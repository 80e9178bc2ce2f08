/** An error that the user can fix. The message says what is wrong and what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';
}

/** Runs a command. A CliError is printed to stderr without its stack; the exit code is 1. */
export async function runCommand(main: () => void | Promise<void>): Promise<void> {
  // `npm run diff | head` closes the pipe early. That is not an error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  try {
    await main();
  } catch (error) {
    console.error(error instanceof CliError ? error.message : error);
    process.exitCode = 1;
  }
}
