import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readArguments } from './arguments.ts';
import { CliError, runCommand } from './cli-error.ts';
import { git } from './git.ts';
import { readPhaseFiles } from './phase-files.ts';
import { findPhase, listPhases, type Phase } from './phases.ts';

const usage = `npm run propagate -- PHASE FILE

Carries a fix made in FILE of PHASE, not yet committed, into every later phase by a three-way merge.
Stops at the first conflict and leaves that file as it was.
  npm run propagate -- 1 forward.ts
  --help   this text`;

interface Merge {
  text: string;
  conflicts: boolean;
}

function main(): void {
  const { values, positionals } = readArguments(usage, { help: { type: 'boolean', short: 'h' } });
  if (values.help) console.log(usage);
  else propagate(positionals);
}

function propagate([word, file, ...rest]: string[]): void {
  if (word === undefined || file === undefined || rest.length > 0) {
    throw new CliError(`Name a phase and a file.\n\n${usage}`);
  }
  const origin = findPhase(word);
  const fixed = textOf(origin, file);
  const before = committedText(origin, file);
  if (before === fixed) {
    throw new CliError(
      `phases/${origin.name}/${file} is as committed. Make the fix first, commit it after this command.`,
    );
  }
  const later = listPhases().filter(({ number }) => number > origin.number);
  if (later.length === 0) throw new CliError(`${origin.name} is the newest phase: none needs the fix.`);
  const texts = later.map((phase) => ({ phase, text: textOf(phase, file) }));

  const touched = [origin];
  for (const { phase, text } of texts) {
    const merge = mergeTexts(text, before, fixed, [phase.name, 'last commit', origin.name]);
    if (merge.conflicts) {
      console.log(merge.text.match(/^<{7} .*?^>{7} .*?$/gms)?.join('\n'));
      throw new CliError(
        `${phase.name}: conflict, shown above. Phases from here on are untouched. ${mend(phase, file)}`,
      );
    }
    if (merge.text === text) {
      console.log(`${phase.name}: already has it`);
    } else {
      writeFileSync(join(phase.folder, file), merge.text);
      console.log(`${phase.name}: merged`);
      touched.push(phase);
    }
  }
  console.log('\nNext: npm test, then record why the phases changed:');
  for (const { number } of touched) console.log(`  npm run freeze -- ${number} --why "REASON"`);
}

function mend(phase: Phase, file: string): string {
  const carryOn = `npm run propagate -- ${phase.number} ${file}`;
  return `Next: make the fix in phases/${phase.name}/${file} by hand, then carry it on from there: ${carryOn}`;
}

function textOf(phase: Phase, file: string): string {
  const files = readPhaseFiles(phase.folder);
  const text = files.get(file);
  if (text !== undefined) return text;
  throw new CliError(`${phase.name} has no file "${file}". It has: ${[...files.keys()].join(', ')}.`);
}

function committedText(phase: Phase, file: string): string {
  const path = `phases/${phase.name}/${file}`;
  const { status, stdout, stderr } = git(['show', `HEAD:./${path}`]);
  if (status === 0) return stdout.replaceAll('\r\n', '\n');
  throw new CliError(
    `The last commit does not hold ${path}, so there is nothing to compare with. git says: ${stderr.trim()}`,
  );
}

function mergeTexts(ours: string, base: string, theirs: string, labels: string[]): Merge {
  const folder = mkdtempSync(join(tmpdir(), 'propagate-'));
  try {
    const paths = [ours, base, theirs].map((text, index) => {
      const path = join(folder, String(index));
      writeFileSync(path, text);
      return path;
    });
    const { status, stdout, stderr } = git([
      'merge-file',
      '-p',
      ...labels.flatMap((label) => ['-L', label]),
      ...paths,
    ]);
    // The status is the number of conflicts, at most 127; a failure is 255.
    if (status === null || status > 127) throw new CliError(`git merge-file failed: ${stderr.trim()}`);
    return { text: stdout, conflicts: status > 0 };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await runCommand(main);
