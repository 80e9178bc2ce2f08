import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readPhaseFiles, readText } from './phase-files.ts';
import { root } from './phases.ts';

/** The object ids of the tags that `npm run tags` makes, by tag name. */
export type TagIds = Record<string, { tag: string; commit: string }>;

/** The content of phases.lock.json. */
export interface Lock {
  /** Phase name to hash; empty before the first freeze. */
  phases: Record<string, string>;
  tags: TagIds;
}

/** Absolute path of the file that holds the hash of every frozen phase. */
export const lockFile = join(root, 'phases', 'phases.lock.json');

/** SHA-256 over the sorted paths and contents of a phase's files, with LF line ends. */
export function hashPhase(folder: string): string {
  const hash = createHash('sha256');
  for (const [path, text] of readPhaseFiles(folder)) hash.update(`${path}\0${text}\0`);
  return hash.digest('hex');
}

/** Reads phases.lock.json. In the file, the phases are fields beside `tags`. */
export function readLock(): Lock {
  if (!existsSync(lockFile)) return { phases: {}, tags: {} };
  const { tags = {}, ...phases } = JSON.parse(readText(lockFile));
  return { phases, tags };
}

/** Writes phases.lock.json, oldest phase first. */
export function writeLock({ phases, tags }: Lock): void {
  const sorted = Object.entries(phases).sort(([a], [b]) => parseInt(a, 10) - parseInt(b, 10));
  writeFileSync(lockFile, `${JSON.stringify({ ...Object.fromEntries(sorted), tags }, null, 2)}\n`);
}
