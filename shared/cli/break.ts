import { rmSync } from 'node:fs';
import { fileName } from '../kit/workspace/workspace-files.ts';
import { hide, isHardHunt, readHidden, rememberHard, uncover } from '../mutants/break-memory.ts';
import { filesOfMutant, findMutant, listMutants, type Mutant, writeMutant } from '../mutants/mutant.ts';
import { makeMutantsFolder } from '../mutants/mutants-folder.ts';
import { writeJournal } from '../repository/journal.ts';
import { readPhaseFiles } from '../repository/phase-files.ts';
import { findPhase, type Phase } from '../repository/phases.ts';
import { greet } from '../run/greeting.ts';
import { type RunOptions, runArguments, runArgumentsHelp, toRunOptions } from '../run/options.ts';
import { runPhase } from '../run/run-phase.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { refuseWords } from '../terminal/option-values.ts';
import { startDemoServices } from '../upstreams/demo-services.ts';

const usage = `Starts a phase with a mistake in it, and the demo services. Call the gateway to find out what is wrong.

  npm run break -- PHASE [options]        starts the same mistake until you know it
  npm run break -- PHASE --guess NAME     says whether it is this one
  npm run break -- PHASE --reveal         names the mistake and shows its lines
  npm run break -- PHASE --another        starts another mistake
  npm run break -- PHASE --hard           does not name the mistakes it may be; --guess FILE then says whether it is in this file; a part of its name will do

${runArgumentsHelp}

Without REDIS_URL, only mistakes are chosen that have an effect with the embedded Redis; without --config, only those that
have an effect with the demo config.`;

async function main(): Promise<void> {
  const { values, positionals } = readArguments(usage, {
    ...runArguments,
    guess: { type: 'string' },
    reveal: { type: 'boolean' },
    another: { type: 'boolean' },
    hard: { type: 'boolean', default: false },
  });
  if (values.help) return console.log(usage);
  const [word, ...extra] = positionals;
  if (word === undefined) throw new CliError(`Name a phase.\n\n${usage}`);
  const phase = findPhase(word);
  refuseWords(usage, extra);
  if (values.guess !== undefined) console.log(judgeGuess(phase, values.guess));
  else if (values.reveal) console.log(reveal(phase));
  else process.exitCode = await runMutant(toRunOptions(phase, values), values.another ?? false, values.hard);
}

/** Runs a broken phase until it is stopped; resolves with the exit code. */
async function runMutant(options: RunOptions, another: boolean, isHard: boolean): Promise<number> {
  const { phase } = options;
  const given = { redis: Boolean(process.env.REDIS_URL), config: options.config !== undefined };
  const candidates = listMutants(phase).filter(({ needs }) => needs.every((need) => given[need]));
  if (candidates.length === 0) throw new CliError(`shared/mutants has no mutant of ${phase.name}.`);
  const hidden = readHidden(phase);
  const isFit = hidden !== undefined && candidates.some(({ name }) => name === hidden.name);
  const mutant = isFit && !another ? hidden : hide(phase, candidates);
  rememberHard(phase, isHard);
  const folder = makeMutantsFolder();
  try {
    writeMutant(mutant, folder);
    return await runPhase({ ...options, phase: { ...phase, folder } }, startDemoServices, (...known) =>
      [greet(...known), isHard ? describeHardTask(phase) : describeTask(phase, candidates)].join('\n'),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function describeTask(phase: Phase, candidates: Mutant[]): string {
  return `But it is broken: it has one of these mistakes.

${candidates.map(({ name }) => `  ${name}`).join('\n')}

Next: call it from another terminal until you know which one. docs/contract.md says what it should do. Then:
  npm run break -- ${phase.number} --guess NAME
  npm run break -- ${phase.number} --reveal
`;
}

function describeHardTask(phase: Phase): string {
  return `But it is broken: there is a mistake in one of its files.

Next: call it from another terminal until you know which file. docs/contract.md says what it should do. Then:
  npm run break -- ${phase.number} --guess FILE
  npm run break -- ${phase.number} --reveal
`;
}

function judgeGuess(phase: Phase, guess: string): string {
  return isHardHunt(phase) ? judgeFile(phase, guess) : judgeName(phase, findMutant(phase, guess));
}

function judgeFile(phase: Phase, guess: string): string {
  const { name, number } = phase;
  const hidden = requireHidden(phase);
  const file = findGuessed(phase, guess);
  const reveal = `npm run break -- ${number} --reveal`;
  return filesOfMutant(hidden).includes(file)
    ? `Yes, the mistake is in ${file}.\n\nNext: find the line in phases/${name}/${file} that you would have to change. Then: ${reveal}`
    : `No, the mistake is not in ${file}.\n\nNext: continue to look, or ${reveal}`;
}

/** The file of the phase with this name, with or without folder and ending, or with this part of a name. */
function findGuessed({ name, folder }: Phase, guess: string): string {
  const files = [...readPhaseFiles(folder).keys()].filter((path) => path !== 'README.md');
  const wanted = fileName(guess).toLowerCase();
  const [named = [], begun = [], contained = []] = [
    files.filter((file) => [file, file.replace(/\.[^.]+$/, '')].includes(wanted)),
    files.filter((file) => file.startsWith(wanted)),
    files.filter((file) => file.includes(wanted)),
  ];
  const found = [named, begun, contained].find((some) => some.length > 0) ?? [];
  const [file, ...others] = wanted === '' ? [] : found;
  if (file === undefined)
    throw new CliError(`phases/${name} has no file "${guess}". Its files are: ${files.join(', ')}.`);
  if (others.length > 0)
    throw new CliError(`"${guess}" may be ${[file, ...others].join(', ')}. Next: name one of them.`);
  return file;
}

function judgeName(phase: Phase, guess: Mutant): string {
  const hidden = requireHidden(phase);
  if (guess.name !== hidden.name) {
    return `No, it is another one.\n\n  You named ${guess.name}: ${guess.story}\n\nNext: continue to look, or npm run break -- ${phase.number} --reveal`;
  }
  know(phase, guess, true);
  return `Yes, that is it.\n\n${describeMutant(guess)}`;
}

function reveal(phase: Phase): string {
  const hidden = requireHidden(phase);
  know(phase, hidden, false);
  return describeMutant(hidden);
}

/** A mistake that was found before stays found. */
function know(phase: Phase, mutant: Mutant, isFound: boolean): void {
  uncover(phase, mutant);
  writeJournal(({ hunts }) => {
    hunts[`${phase.name}/${mutant.name}`] ||= isFound;
  });
}

function requireHidden(phase: Phase): Mutant {
  const hidden = readHidden(phase);
  if (hidden) return hidden;
  throw new CliError(`Nothing is hidden in ${phase.name}. Next: npm run break -- ${phase.number}`);
}

function describeMutant({ phase, name, story, fails, diff }: Mutant): string {
  return `${phase.name}/${name}
  ${story}

The mistake:

${diff.trimEnd()}

These sentences of the contract fail with it:
${fails.map(({ file, test }) => `  ${file}: ${test}`).join('\n')}

Next: npm run mutants -- ${phase.number} ${name} shows that they fail; npm run break -- ${phase.number} starts another mistake.`;
}

await runCommand(main);
