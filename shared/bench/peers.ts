import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { start } from './processes.ts';

/** The package of the npm peers, which `npm ci` of the repository leaves alone. */
export const peersFolder = join(import.meta.dirname, 'peers');

/** Whether --peers has been used here before. */
export function peersInstalled(): boolean {
  return existsSync(join(peersFolder, 'node_modules', 'autocannon'));
}

/** Installs the npm peers at the versions of their own lock file, unless they are there since it was last changed. */
export async function installPeers(): Promise<void> {
  const installed = join(peersFolder, 'node_modules', '.package-lock.json');
  const changedAt = statSync(join(peersFolder, 'package-lock.json')).mtimeMs;
  if (existsSync(installed) && statSync(installed).mtimeMs > changedAt) return;
  // npm by its script, because npm.cmd cannot be started without a shell.
  const npm = process.env.npm_execpath;
  const args = ['ci', '--prefix', peersFolder, '--ignore-scripts', '--no-audit', '--no-fund'];
  await start(npm ? { command: process.execPath, args: [npm, ...args] } : { command: 'npm', args }).finished;
}
