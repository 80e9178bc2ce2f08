import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Evidence } from './evidence.ts';

// A test that has failed may be kept from ending, with its gateway and its services. It runs in a process of vitest's,
// so the two sides speak through files of a folder.

const pollMs = 100;

/** A failed test that waits to be released. */
export interface Held {
  name: string;
  file: string;
  errors: unknown[] | undefined;
  evidence: Evidence;
}

/** In the process of the test: waits until it is released. Only the first test that fails is held. */
export async function holdOn(folder: string, held: Held): Promise<void> {
  try {
    writeFileSync(heldFile(folder), JSON.stringify(held), { flag: 'wx' });
  } catch {
    return;
  }
  while (existsSync(folder) && !existsSync(releaseFile(folder))) await sleep(pollMs);
}

/** On the other side: the test that is held, as soon as there is one. */
export async function waitForHeld(folder: string, signal: AbortSignal): Promise<Held | undefined> {
  while (!signal.aborted) {
    try {
      return JSON.parse(readFileSync(heldFile(folder), 'utf8')) as Held;
    } catch {
      // Not there, or not complete yet.
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
