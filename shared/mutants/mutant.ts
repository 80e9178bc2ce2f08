import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { applyPatch, parsePatch } from 'diff';
import { readPhaseFiles, readText } from '../repository/phase-files.ts';
import type { Phase } from '../repository/phases.ts';
import { CliError } from '../terminal/cli-error.ts';

/** A test of the contract that must fail. */
export interface Expectation {
  /** A file of shared/contract without its ending, such as '1-routing/02-the-longest-prefix'. */
  file: string;
  /** The names of its blocks and its own name, joined by ' > '. `…` stands for any text. */
  test: string;
}

const needs = ['redis', 'config'] as const;
type Need = (typeof needs)[number];

/** One plausible mistake in a phase, and the tests that must fail because of it. */
export interface Mutant {
  phase: Phase;
  name: string;
  /** The mistake and its effect, in one line. */
  story: string;
  /** What the mistake needs to have an effect: a real Redis, or a config other than the demo config. */
  needs: Need[];
  fails: Expectation[];
  /** Tests that may fail or pass, because the mistake is a race condition. */
  may: Expectation[];
  /** Unified diffs against the files of the phase. */
  diff: string;
}

/** The mutants of a phase, by name. */
export function listMutants(phase: Phase): Mutant[] {
  const folder = join(import.meta.dirname, phase.name);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.patch'))
    .sort()
    .map((file) => parseMutant(phase, file.replace(/\.patch$/, ''), readText(join(folder, file))));
}

/** The mutant of a phase with this name. An unknown name throws a CliError with the list. */
export function findMutant(phase: Phase, name: string): Mutant {
  const mutants = listMutants(phase);
  const mutant = mutants.find((it) => it.name === name);
  if (mutant) return mutant;
  const known = mutants.map((it) => `\n  ${it.name}`).join('');
  throw new CliError(`${phase.name} has no mutant "${name}". It has: ${known || 'none'}`);
}

/** Reads a patch: lines of `field: value`, which patch tools skip, then diffs in plain form or as git writes them. */
export function parseMutant(phase: Phase, name: string, text: string): Mutant {
  const begin = text.search(/^(?:diff |--- )/m);
  const mutant: Mutant = { phase, name, story: '', needs: [], fails: [], may: [], diff: text.slice(begin) };
  for (const line of text.slice(0, begin).split('\n')) {
    const [, field, value = ''] = /^(\w+): (.+)$/.exec(line) ?? [];
    const [, file, test] = /^([\w/-]+): (.+)$/.exec(value) ?? [];
    const need = needs.find((word) => word === value);
    if (field === 'story') mutant.story = value;
    else if (field === 'needs' && need) mutant.needs.push(need);
    else if ((field === 'fails' || field === 'may') && file && test) mutant[field].push({ file, test });
    else if (line !== '')
      throw new Error(`shared/mutants/${phase.name}/${name}.patch: cannot read "${line}"`);
  }
  return mutant;
}

/** The files of the phase with the mistake in them, by path, without its README. Throws when the patch does not fit. */
export function plant({ phase, name, diff }: Mutant): Map<string, string> {
  const files = readPhaseFiles(phase.folder);
  files.delete('README.md');
  for (const patch of parsePatch(diff)) {
    const path = patch.oldFileName ?? '';
    const planted = applyPatch(files.get(path) ?? '', patch);
    if (planted === false) {
      throw new CliError(
        `shared/mutants/${phase.name}/${name}.patch does not fit ${phase.name}/${path}. Write the patch again.`,
      );
    }
    files.set(path, planted);
  }
  return files;
}

/** The files of the phase that the mistake changes. */
export function filesOfMutant({ diff }: Mutant): string[] {
  return parsePatch(diff).flatMap(({ oldFileName }) => oldFileName ?? []);
}

/** Makes a folder and writes the phase with the mistake into it. */
export function writeMutant(mutant: Mutant, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const [path, text] of plant(mutant)) writeFileSync(join(folder, path), text);
}
