/** A mistake the user can mend: the message says what is wrong and what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';
}

/** Runs a command: a CliError is printed to stderr without its stack and ends with exit code 1. */
export async function runCommand(main: () => void | Promise<void>): Promise<void> {
  // `npm run diff | head` closes the pipe early: that is no error.
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
