import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CliError } from '../terminal/cli-error.ts';

/** One numbered folder of phases/, such as phases/3-rate-limiting. */
export interface Phase {
  /** 3 */
  number: number;
  /** '3-rate-limiting' */
  name: string;
  /** Absolute path. */
  folder: string;
}

/** Absolute path of the repository: the folder that holds phases/ and shared/. */
export const root = resolve(import.meta.dirname, '..', '..');

/** The phases found in phases/, oldest first. */
export function listPhases(): Phase[] {
  const folder = join(root, 'phases');
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /^\d+-/.test(entry.name))
    .map((entry) => ({
      number: parseInt(entry.name, 10),
      name: entry.name,
      folder: join(folder, entry.name),
    }))
    .sort((a, b) => a.number - b.number);
}

/** The phase called '3' or '3-rate-limiting'; undefined: the newest. An unknown name throws a CliError with the list. */
export function findPhase(word: string | undefined): Phase {
  const phases = listPhases();
  const phase =
    word === undefined
      ? phases.at(-1)
      : phases.find(({ number, name }) => word === String(number) || word === name);
  if (phase) return phase;
  const known = phases.map(({ number, name }) => `${number} (${name})`).join(', ') || 'none in phases/ yet';
  throw new CliError(`There is no phase "${word}". The phases are: ${known}.`);
}
