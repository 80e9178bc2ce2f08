import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../cli/phases.ts';

/** Absolute path of the folder for mutants at work and for what `npm run break` remembers; git ignores it. */
export const mutantsFolder = join(root, '.mutants');

/** Makes a folder in it with a name that says nothing. Mutants stay in the repository because they need its packages. */
export function makeMutantsFolder(): string {
  mkdirSync(mutantsFolder, { recursive: true });
  return mkdtempSync(join(mutantsFolder, 'run-'));
}
