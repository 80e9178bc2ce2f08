import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { buildProject } from '../kit/project/files.ts';
import { findPhaseFolder, type Phase } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { refuseWords } from '../terminal/option-values.ts';

const usage = `npm run export -- PHASE FOLDER

Writes a phase as a project of its own into a folder that is empty or does not exist yet: the code, its config,
package.json and package-lock.json with exact versions of the packages it imports, tsconfig, README and Dockerfile.
  npm run export -- 3 ../my-gateway
  --help   this text`;

await runCommand(() => {
  const { values, positionals } = readArguments(usage, { help: { type: 'boolean', short: 'h' } });
  if (values.help) return console.log(usage);
  const [word, folder, ...extra] = positionals;
  if (word === undefined || folder === undefined)
    throw new CliError(`Name a phase and a folder.\n\n${usage}`);
  refuseWords(usage, extra);
  console.log(exportPhase(findPhaseFolder(word), folder));
});

function exportPhase(phase: Phase, word: string): string {
  // npm runs scripts in the root folder; INIT_CWD is the current folder of the user.
  const here = process.env.INIT_CWD ?? process.cwd();
  const folder = resolve(here, word);
  refuseOccupied(folder);
  const project = buildProject(phase);
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of project) writeFileSync(join(folder, name), text);
  const path = relative(here, folder) || '.';
  return [
    `${phase.name} was written to ${folder}: ${project.size} files.`,
    'Next:',
    `  cd ${path.includes(' ') ? `"${path}"` : path}`,
    '  npm install',
    '  npm start          (more in its README.md)',
  ].join('\n');
}

function refuseOccupied(folder: string): void {
  if (!existsSync(folder)) return;
  const fix = 'Name a folder that is empty or does not exist yet. Nothing was written.';
  if (!statSync(folder).isDirectory()) throw new CliError(`${folder} is a file, not a folder. ${fix}`);
  const [first] = readdirSync(folder);
  if (first !== undefined) throw new CliError(`${folder} is not empty: it contains ${first}. ${fix}`);
}
