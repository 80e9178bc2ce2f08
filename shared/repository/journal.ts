import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './phases.ts';

const file = join(root, 'workspace-saves', 'journal.json');

/** What the reader has done besides the workspace. */
export interface Journal {
  /** The drills that were run: whether the prediction was right, or null without one. */
  drills: Record<string, boolean | null>;
  /** The mistakes of `npm run break` that are known: true for found, false for revealed. The key is 'phase/mutant'. */
  hunts: Record<string, boolean>;
  /** The highest level of help that was read for a sentence. The key is 'suite: sentence'. */
  hints: Record<string, number>;
}

/** The journal so far. */
export function readJournal(): Journal {
  const none: Journal = { drills: {}, hunts: {}, hints: {} };
  return existsSync(file) ? { ...none, ...JSON.parse(readFileSync(file, 'utf8')) } : none;
}

/** Changes the journal, but only for a reader at a terminal: tests and recordings run the same commands. */
export function writeJournal(change: (journal: Journal) => void): void {
  if (!process.stdout.isTTY) return;
  const journal = readJournal();
  change(journal);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(journal, null, 2)}\n`);
}
