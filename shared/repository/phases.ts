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

/** The phases that build on each other, oldest first: phase 1 and all later ones. */
export function listPhases(): Phase[] {
  return listPhaseFolders().filter(({ number }) => number > 0);
}

/**
 * Every folder of phases/, oldest first. Phase 0 is the gateway of a plugin: no phase continues it, and it has no suite,
 * no mutants and no task. Whatever only starts, shows or copies a phase takes it too.
 */
export function listPhaseFolders(): Phase[] {
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

/** The phase called '3' or '3-rate-limiting'; undefined: the newest. Phase 0 and unknown names throw a CliError. */
export function findPhase(word: string | undefined): Phase {
  if (listPhaseFolders().some((phase) => phase.number === 0 && isCalled(phase, word))) {
    throw new CliError(
      'Phase 0 is the plugin as it comes: it has no suite, no mutants and no task of its own. ' +
        'This command begins with phase 1. Next: npm run phase:0 runs it, npm run diff -- 0 1 shows what phase 1 does instead.',
    );
  }
  return findIn(listPhases(), word);
}

/** As findPhase, but it finds phase 0 too. */
export function findPhaseFolder(word: string | undefined): Phase {
  return findIn(listPhaseFolders(), word);
}

function findIn(phases: Phase[], word: string | undefined): Phase {
  const phase = word === undefined ? phases.at(-1) : phases.find((each) => isCalled(each, word));
  if (phase) return phase;
  const known = phases.map(({ number, name }) => `${number} (${name})`).join(', ') || 'none in phases/ yet';
  throw new CliError(`There is no phase "${word}". The phases are: ${known}.`);
}

function isCalled({ number, name }: Phase, word: string | undefined): boolean {
  return word === String(number) || word === name;
}
