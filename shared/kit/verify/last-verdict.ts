import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Phase } from '../../repository/phases.ts';
import { root } from '../../repository/phases.ts';
import type { Subject } from './subject.ts';

/** The last verdict of `npm run verify` for a gateway and a phase, which `npm run hint` reads. */
export interface LastVerdict {
  /** Time of the verdict, ms since 1970. */
  at: number;
  /** The failed tests, in order. `broken`: the test did not run, because its file broke before. */
  failed: Array<{ suite: number; name: string; broken: boolean }>;
}

// In node_modules it belongs neither to the workspace nor to the repository.
const folder = join(root, 'node_modules', '.cache', 'phased-gateway');

/** Saves a verdict for later commands. */
export function keepVerdict(subject: Subject, phase: Phase, verdict: LastVerdict): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(fileFor(subject, phase), JSON.stringify(verdict));
}

/** The saved verdict; undefined if there is none. */
export function lastVerdict(subject: Subject, phase: Phase): LastVerdict | undefined {
  try {
    return JSON.parse(readFileSync(fileFor(subject, phase), 'utf8')) as LastVerdict;
  } catch {
    return undefined;
  }
}

/** Saves the config of a failed start, so that the user can repeat it. Returns its path from the root folder. */
export function keepConfig(text: string): string {
  mkdirSync(folder, { recursive: true });
  const name = `config-${createHash('sha256').update(text).digest('hex').slice(0, 8)}.json`;
  writeFileSync(join(folder, name), text);
  return `node_modules/.cache/phased-gateway/${name}`;
}

/** Saves the text of all failures, for the ones that do not fit on the screen. Returns its path from the root folder. */
export function keepFailures(text: string): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'failures.txt'), `${stripVTControlCharacters(text)}\n`);
  return 'node_modules/.cache/phased-gateway/failures.txt';
}

function fileFor({ words }: Subject, { number }: Phase): string {
  // The key contains the root folder, because several checkouts may share one node_modules.
  const key = createHash('sha256')
    .update(JSON.stringify([root, words, number]))
    .digest('hex');
  return join(folder, `verdict-${key.slice(0, 16)}.json`);
}
