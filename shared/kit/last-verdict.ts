import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Phase } from '../cli/phases.ts';
import { root } from '../cli/phases.ts';
import type { Subject } from './subject.ts';

/** What `npm run hint` needs to know of the last `npm run verify` of a gateway as a phase. */
export interface LastVerdict {
  /** When it was given, ms since 1970. */
  at: number;
  /** The failed sentences, in order. `broken`: the gateway did not even start for it. */
  failed: Array<{ suite: number; name: string; broken: boolean }>;
}

// Neither a file of the learner nor one of the repository.
const folder = join(root, 'node_modules', '.cache', 'phased-gateway');

/** Keeps a verdict for later commands. */
export function keepVerdict(subject: Subject, phase: Phase, verdict: LastVerdict): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(fileFor(subject, phase), JSON.stringify(verdict));
}

/** The verdict that was kept, or undefined. */
export function lastVerdict(subject: Subject, phase: Phase): LastVerdict | undefined {
  try {
    return JSON.parse(readFileSync(fileFor(subject, phase), 'utf8')) as LastVerdict;
  } catch {
    return undefined;
  }
}

/** Keeps the config of a failed start, so that it can be repeated; its path from the root folder. */
export function keepConfig(text: string): string {
  mkdirSync(folder, { recursive: true });
  const name = `config-${createHash('sha256').update(text).digest('hex').slice(0, 8)}.json`;
  writeFileSync(join(folder, name), text);
  return `node_modules/.cache/phased-gateway/${name}`;
}

function fileFor({ words }: Subject, { number }: Phase): string {
  // The root too: several checkouts may share one node_modules.
  const key = createHash('sha256')
    .update(JSON.stringify([root, words, number]))
    .digest('hex');
  return join(folder, `verdict-${key.slice(0, 16)}.json`);
}
