import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { startBenchProcess } from '../process/bench-process.ts';

/**
 * The folder of the npm peers, and of echarts, which draws the charts of the report. It has its own package.json, so
 * `npm ci` in the root does not install them.
 */
export const peersFolder = join(import.meta.dirname, 'peers');

/** True when --peers or --report has installed the npm peers. */
export function peersInstalled(): boolean {
  return existsSync(join(peersFolder, 'node_modules', 'autocannon'));
}

/** Installs the packages of that folder at the versions of their own lock file, unless they were installed after its last change. */
export async function installPeers(): Promise<void> {
  const installed = join(peersFolder, 'node_modules', '.package-lock.json');
  const changedAt = statSync(join(peersFolder, 'package-lock.json')).mtimeMs;
  if (existsSync(installed) && statSync(installed).mtimeMs > changedAt) return;
  // Start npm by its script: on Windows, npm.cmd cannot be started without a shell.
  const npm = process.env.npm_execpath;
  const args = ['ci', '--prefix', peersFolder, '--ignore-scripts', '--no-audit', '--no-fund'];
  await startBenchProcess({ words: [...(npm ? [process.execPath, npm] : ['npm']), ...args] }).finished;
}
