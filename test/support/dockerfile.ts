import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  DockerfileParser,
  type From,
  type ModifiableInstruction,
  type Instruction as Node,
} from 'dockerfile-ast';
import escapeStringRegexp from 'escape-string-regexp';
import { readText } from '../../shared/repository/phase-files.ts';
import { root } from '../../shared/repository/phases.ts';

/** An instruction, such as `COPY`. */
export interface Instruction {
  name: string;
  /** Such as `--from=dependencies`. */
  flags: string[];
  /** The arguments behind the flags, with continued lines joined. */
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
  for (const node of DockerfileParser.parse(text).getInstructions()) {
    if (isFrom(node)) {
      stages.push({ name: node.getBuildStage() ?? '', from: node.getImage() ?? '', instructions: [] });
    } else {
      const flags = isModifiable(node) ? node.getFlags().map(String) : [];
      const rest = node.getArgumentsContent() ?? '';
      stages.at(-1)?.instructions.push({ name: node.getKeyword(), flags, rest });
    }
  }
  return stages;
}

const isFrom = (node: Node): node is From => 'getBuildStage' in node;

const isModifiable = (node: Node): node is ModifiableInstruction => 'getFlags' in node;

/** The instructions of a stage, after those of the stages that it is based on. */
export function instructionsOf(stages: Stage[], name: string): Instruction[] {
  const stage = stages.find((candidate) => candidate.name === name);
  return stage ? [...instructionsOf(stages, stage.from), ...stage.instructions] : [];
}

const wildcards: Record<string, string> = { '**/': '(?:.+/)?', '*': '[^/]*' };

/** True when .dockerignore includes this path of the repository. The last pattern that matches decides. */
export function isInContext(path: string, ignoreFile: string): boolean {
  let included = true;
  for (const line of ignoreFile.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const pattern = line.replace(/^!/, '');
    const parts = pattern.split(/(\*\*\/|\*)/);
    const expression = parts.map((part) => wildcards[part] ?? escapeStringRegexp(part)).join('');
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
