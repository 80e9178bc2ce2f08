import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { git } from '../repository/git.ts';
import { readPhaseFiles } from '../repository/phase-files.ts';
import { findPhase, listPhases, type Phase } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';

const usage = `npm run propagate -- PHASE FILE

Merges an uncommitted fix in FILE of PHASE into every later phase (three-way merge).
Stops at the first conflict; that file is not changed.
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
      `phases/${origin.name}/${file} has no uncommitted change. Make the fix first, and commit it after this command.`,
    );
  }
  const later = listPhases().filter(({ number }) => number > origin.number);
  if (later.length === 0)
    throw new CliError(`${origin.name} is the newest phase: there is no later phase to merge into.`);
  const texts = later.map((phase) => ({ phase, text: textOf(phase, file) }));

  const touched = [origin];
  for (const { phase, text } of texts) {
    const merge = mergeTexts(text, before, fixed, [phase.name, 'last commit', origin.name]);
    if (merge.conflicts) {
      console.log(merge.text.match(/^<{7} .*?^>{7} .*?$/gms)?.join('\n'));
      throw new CliError(
        `${phase.name}: conflict, shown above. This phase and later ones are unchanged. ${describeFix(phase, file)}`,
      );
    }
    if (merge.text === text) {
      console.log(`${phase.name}: already has the fix`);
    } else {
      writeFileSync(join(phase.folder, file), merge.text);
      console.log(`${phase.name}: merged`);
      touched.push(phase);
    }
  }
  console.log('\nNext: npm test, then record why the phases changed:');
  for (const { number } of touched) console.log(`  npm run freeze -- ${number} --why "REASON"`);
}

function describeFix(phase: Phase, file: string): string {
  const command = `npm run propagate -- ${phase.number} ${file}`;
  return `Next: make the fix in phases/${phase.name}/${file} by hand, then continue from there: ${command}`;
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
    `The last commit does not contain ${path}, so there is nothing to compare with. git says: ${stderr.trim()}`,
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
