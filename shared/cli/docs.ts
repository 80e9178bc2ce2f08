import { existsSync, writeFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { listRecordedFiles, rerunFile } from '../recordings/file.ts';
import { root } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { startDemoServices } from '../upstreams/demo-services.ts';

const usage = `npm run docs -- [FILE ...] [options]

Runs the commands in the \`\`\`console blocks of Markdown files and records their output. A line that begins with "$ "
is a command: curl, npm run or node. <!-- recorded against phase 3 --> above a block starts a new gateway of that phase
for it; <!-- recorded in a copy of the repository --> runs it in a copy that it may change. <!-- drawn as docs/terminal.svg -->
draws the block in that file. Without a FILE: every Markdown file that has such blocks.
  --check   write nothing; exit code 1 when an output differs from what is shown
  --help    this text

Date, Connection and Keep-Alive of an answer are left out. Keys, digests, ids of git, times, durations and curl's
version may differ from what is shown; the seconds of Retry-After and RateLimit by 5.`;

async function main(): Promise<void> {
  const { values, positionals } = readArguments(usage, {
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  const files = positionals.length > 0 ? positionals.map(findFile) : listRecordedFiles();
  let different = 0;
  for (const file of files) different += await record(file, values.check);
  if (!values.check) return console.log('Next: read the changes, then npm run docs -- --check');
  if (different > 0) throw new CliError('Next: npm run docs, then read what it changed.');
}

/** Records or checks one file; resolves with the number of outputs and drawings that differed. */
async function record(file: string, check: boolean): Promise<number> {
  const { commands, differences, text, staleDrawings } = await rerunFile(file, startDemoServices);
  const counted = `${file}: ${commands} ${commands === 1 ? 'command' : 'commands'}`;
  if (differences.length === 0) {
    console.log(`${counted}, as shown`);
  } else if (check) {
    for (const { command, shown, real } of differences)
      console.error(`${file}: $ ${command}\n--- shown\n${shown}\n--- real\n${real}\n`);
  } else {
    writeFileSync(join(root, file), text);
    console.log(`${counted}, ${differences.length} updated`);
  }
  for (const drawing of staleDrawings) {
    if (check) {
      console.error(`${drawing.file} does not show its recording in ${file}.`);
    } else {
      writeFileSync(join(root, drawing.file), drawing.svg);
      console.log(`${drawing.file}: drawn anew`);
    }
  }
  return differences.length + staleDrawings.length;
}

function findFile(word: string): string {
  // npm runs scripts in the root folder; INIT_CWD is the current folder of the user.
  const path = resolve(process.env.INIT_CWD ?? process.cwd(), word);
  if (!existsSync(path)) throw new CliError(`There is no file ${path}.`);
  const file = relative(root, path).split(sep).join('/');
  const known = listRecordedFiles();
  if (known.includes(file)) return file;
  throw new CliError(
    `${file} has no \`\`\`console block. These files have: ${known.join(', ') || 'none yet'}.`,
  );
}

await runCommand(main);
