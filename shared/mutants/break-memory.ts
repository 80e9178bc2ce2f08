import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Phase } from '../repository/phases.ts';
import { listMutants, type Mutant } from './mutant.ts';
import { mutantsFolder } from './mutants-folder.ts';

const file = join(mutantsFolder, 'break.json');

/** What `npm run break` stores about one phase for its next run. */
interface Memory {
  /** Name of the mutant that the user is looking for, if there is one. */
  hidden?: string;
  /** Whether the names of the mutants were not shown at the last start. */
  isHard?: boolean;
  /** Names of the mutants that were found or revealed. */
  known: string[];
}

/** The mutant of the phase that the user is looking for; undefined before the first start and after it was found. */
export function readHidden(phase: Phase): Mutant | undefined {
  const { hidden } = readMemory()[phase.name] ?? {};
  return listMutants(phase).find(({ name }) => name === hidden);
}

/** Whether the user looks for the mistake without the names of the mutants. */
export function isHardHunt(phase: Phase): boolean {
  return readMemory()[phase.name]?.isHard ?? false;
}

/** Stores whether the names of the mutants are shown. */
export function rememberHard(phase: Phase, isHard: boolean): void {
  remember(phase, { known: [], ...readMemory()[phase.name], isHard });
}

/** Chooses a mutant at random and stores its name. Mutants that were not hidden yet come first. */
export function hide(phase: Phase, candidates: Mutant[]): Mutant {
  const { hidden, known = [] } = readMemory()[phase.name] ?? {};
  const fresh = candidates.filter(({ name }) => name !== hidden && !known.includes(name));
  const choice = fresh.length > 0 ? fresh : candidates;
  const mutant = choice[Math.floor(Math.random() * choice.length)] as Mutant;
  remember(phase, { hidden: mutant.name, known });
  return mutant;
}

/** Stores that the hidden mutant of the phase is known now. */
export function uncover(phase: Phase, { name }: Mutant): void {
  const { known = [] } = readMemory()[phase.name] ?? {};
  remember(phase, { known: [...known.filter((it) => it !== name), name] });
}

function remember(phase: Phase, memory: Memory): void {
  mkdirSync(mutantsFolder, { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...readMemory(), [phase.name]: memory }, null, 2)}\n`);
}

function readMemory(): Record<string, Memory> {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}
