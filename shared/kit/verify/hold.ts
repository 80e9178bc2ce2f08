import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Evidence } from '../../process/evidence.ts';

// With `npm run verify -- --hold` a failed test does not end, and its gateway and services keep running. The test runs in
// a worker process of vitest, so it communicates with the command through files in a folder.

const pollMs = 100;

/** A failed test that waits to be released. */
export interface HeldSentence {
  name: string;
  file: string;
  errors: unknown[] | undefined;
  evidence: Evidence;
}

/** Called in the worker: waits until the test is released. Only the first failed test is held. */
export async function holdOn(folder: string, held: HeldSentence): Promise<void> {
  try {
    writeFileSync(heldFile(folder), JSON.stringify(held), { flag: 'wx' });
  } catch {
    return;
  }
  while (existsSync(folder) && !existsSync(releaseFile(folder))) await sleep(pollMs);
}

/** Called by the command: resolves with the held test, or with undefined when `signal` aborts. */
export async function waitForHeld(folder: string, signal: AbortSignal): Promise<HeldSentence | undefined> {
  while (!signal.aborted) {
    try {
      return JSON.parse(readFileSync(heldFile(folder), 'utf8')) as HeldSentence;
    } catch {
      // The file is missing or not complete yet.
      await sleep(pollMs, undefined, { signal }).catch(() => {});
    }
  }
  return undefined;
}

/** Lets the held test end. */
export function release(folder: string): void {
  writeFileSync(releaseFile(folder), '');
}

const heldFile = (folder: string) => join(folder, 'held.json');
const releaseFile = (folder: string) => join(folder, 'released');
