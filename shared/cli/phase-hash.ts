import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readPhaseFiles, readText } from './phase-files.ts';
import { root } from './phases.ts';

/** Absolute path of the file that holds the hash of every frozen phase. */
export const lockFile = join(root, 'phases', 'phases.lock.json');

/** SHA-256 over the sorted paths and contents of a phase's files; line ends do not matter. */
export function hashPhase(folder: string): string {
  const hash = createHash('sha256');
  for (const [path, text] of readPhaseFiles(folder)) hash.update(`${path}\0${text}\0`);
  return hash.digest('hex');
}

/** Phase name to recorded hash; empty before the first freeze. */
export function readLock(): Record<string, string> {
  return existsSync(lockFile) ? JSON.parse(readText(lockFile)) : {};
}

/** Writes the recorded hashes, oldest phase first. */
export function writeLock(lock: Record<string, string>): void {
  const sorted = Object.entries(lock).sort(([a], [b]) => parseInt(a, 10) - parseInt(b, 10));
  writeFileSync(lockFile, `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`);
}
