import { spawnSync } from 'node:child_process';
import { onPath } from './on-path.ts';

// Of a shell: there is no such command.
const notFound = 127;

/**
 * Prints a text: on a terminal through the command in PAGER, otherwise through less, which ends at once when the text fits
 * on the screen. Without a pager, with an empty PAGER and in a pipe the text is printed as it is.
 */
export function showInPager(text: string): void {
  const pager = process.env.PAGER ?? (onPath('less') ? 'less -FRX' : '');
  if (!process.stdout.isTTY || pager === '') {
    console.log(text);
    return;
  }
  // Ctrl-C is for the pager. Without a handler it ends this command while the pager still uses the terminal.
  const ignore = () => {};
  process.on('SIGINT', ignore);
  const { status } = spawnSync(pager, {
    // PAGER may have options.
    shell: true,
    input: `${text}\n`,
    stdio: ['pipe', 'inherit', 'inherit'],
    // As git does, for PAGER=less: without R, less shows colours as ESC.
    env: { LESS: 'FRX', ...process.env },
  });
  process.off('SIGINT', ignore);
  if (status === notFound) console.log(text);
}
