import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../repository/phases.ts';

/** Absolute path of the folder for running mutants and for the data that `npm run break` stores; git ignores it. */
export const mutantsFolder = join(root, '.mutants');

/** Makes a folder in it whose name does not reveal the mutant. In the repository, mutants find its packages. */
export function makeMutantsFolder(): string {
  mkdirSync(mutantsFolder, { recursive: true });
  return mkdtempSync(join(mutantsFolder, 'run-'));
}
