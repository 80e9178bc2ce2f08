import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readText } from '../../shared/repository/phase-files.ts';
import { root } from '../../shared/repository/phases.ts';

/** An instruction, such as `COPY`, and its arguments with continued lines joined. */
export interface Instruction {
  name: string;
  rest: string;
}

/** A stage of a Dockerfile. */
export interface Stage {
  name: string;
  from: string;
  instructions: Instruction[];
}

export const dockerfile = readText(join(root, 'Dockerfile'));

/** The stages of a Dockerfile, in order. */
export function readStages(text: string): Stage[] {
  const stages: Stage[] = [];
  const lines = text.replaceAll(/^\s*#.*\n/gm, '').replaceAll(/\\\n\s*/g, '');
  for (const line of lines.split('\n')) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name === 'FROM') {
      const [from = '', , stage = ''] = rest.split(/\s+/);
      stages.push({ name: stage, from, instructions: [] });
    } else if (name) {
      stages.at(-1)?.instructions.push({ name, rest });
    }
  }
  return stages;
}

/** The instructions of a stage, after those of the stages that it is based on. */
export function instructionsOf(stages: Stage[], name: string): Instruction[] {
  const stage = stages.find((candidate) => candidate.name === name);
  return stage ? [...instructionsOf(stages, stage.from), ...stage.instructions] : [];
}

/** True when .dockerignore includes this path of the repository. The last pattern that matches decides. */
export function isInContext(path: string, ignoreFile: string): boolean {
  let included = true;
  for (const line of ignoreFile.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const pattern = line.replace(/^!/, '');
    const expression = pattern
      .replaceAll('.', '\\.')
      .replaceAll('**/', '(?:.+/)?')
      .replaceAll(/(?<!\))\*/g, '[^/]*');
    if (new RegExp(`^${expression}(?:/|$)`).test(path)) included = line.startsWith('!');
  }
  return included;
}

/** The files below a folder of the repository, with `/`. */
export function listFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (['node_modules', '.git'].includes(entry.name)) return [`${path}/x`];
    return entry.isDirectory() ? listFiles(path) : [path];
  });
}
