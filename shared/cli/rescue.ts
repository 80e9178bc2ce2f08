import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { saveWorkspace } from '../kit/workspace/saves.ts';
import { requireWorkspace, workspacePath } from '../kit/workspace/workspace.ts';
import { fileName } from '../kit/workspace/workspace-files.ts';
import { namesFile } from '../repository/imports.ts';
import { readPhaseFiles, readText } from '../repository/phase-files.ts';
import { findPhase, type Phase } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';

const usage = `npm run rescue -- PHASE FILE

Copies one file of a phase into your workspace. Your own version is kept, in a dated copy of the workspace.
  npm run rescue -- 3 fixed-window.lua
  --help   this text`;

await runCommand(() => {
  const { values, positionals } = readArguments(usage, { help: { type: 'boolean', short: 'h' } });
  if (values.help) return console.log(usage);
  const [word, file, ...extra] = positionals;
  if (word === undefined || file === undefined || extra.length > 0) {
    throw new CliError(`Name a phase and a file.\n\n${usage}`);
  }
  const own = requireWorkspace();
  console.log(rescue(findPhase(word), fileName(file), own));
});

function rescue(phase: Phase, file: string, own: Phase): string {
  const reference = readPhaseFiles(phase.folder);
  const text = reference.get(file);
  if (text === undefined) {
    throw new CliError(`${phase.name} has no file "${file}". It has: ${[...reference.keys()].join(', ')}.`);
  }
  const target = join(workspacePath(), file);
  const old = existsSync(target) ? readText(target) : undefined;
  if (old === text) return `workspace/${file} is already the file of ${phase.name}. Nothing was written.`;
  const save = old === undefined ? undefined : saveWorkspace();
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
  return [
    `workspace/${file} is now the file of ${phase.name}.`,
    ...(save ? [`Yours was saved as workspace-saves/${save.name}/${file}`] : []),
    ...describeNeighbours(file, text, reference, phase),
    `Next: npm run verify -- ${own.number}`,
  ].join('\n');
}

/** The files that this one needs and the workspace lacks, and the files of the reference that use it. */
function describeNeighbours(
  file: string,
  text: string,
  reference: Map<string, string>,
  phase: Phase,
): string[] {
  const mine = readPhaseFiles(workspacePath());
  const missing = [...reference.keys()].filter((other) => namesFile(text, other) && !mine.has(other));
  const users = [...reference].filter(([other, source]) => other !== file && namesFile(source, file));
  const used = [...mine].some(([other, source]) => other !== file && namesFile(source, file));
  return [
    ...missing.map(
      (other) => `It needs ${other}, which you do not have: npm run rescue -- ${phase.number} ${other}`,
    ),
    ...(used || users.length === 0
      ? []
      : [
          `None of your files uses it yet. In the reference it is used by ${users.map(([other]) => other).join(', ')}.`,
        ]),
  ];
}
