import { rmSync } from 'node:fs';
import { readArguments } from '../cli/arguments.ts';
import { CliError, runCommand } from '../cli/cli-error.ts';
import { refuseWords } from '../cli/option-values.ts';
import { findPhase, type Phase } from '../cli/phases.ts';
import { greet } from '../cli/run-greeting.ts';
import { type RunOptions, runArguments, runArgumentsHelp, toRunOptions } from '../cli/run-options.ts';
import { runPhase } from '../cli/run-phase.ts';
import { hide, readHidden, uncover } from './break-memory.ts';
import { findMutant, listMutants, type Mutant, writeMutant } from './mutant.ts';
import { makeMutantsFolder } from './mutants-folder.ts';

const usage = `Starts a phase with a mistake in it, and the demo services. Find out from outside what is wrong.

  npm run break -- PHASE [options]        the same mistake until it is known
  npm run break -- PHASE --guess NAME     is it this one?
  npm run break -- PHASE --reveal         tells which it is, and shows the lines
  npm run break -- PHASE --another        starts another one

${runArgumentsHelp}

Without REDIS_URL, only mistakes are chosen that show with the embedded Redis; without --config, only those that show
with the config of the demo.`;

async function main(): Promise<void> {
  const { values, positionals } = readArguments(usage, {
    ...runArguments,
    guess: { type: 'string' },
    reveal: { type: 'boolean' },
    another: { type: 'boolean' },
  });
  if (values.help) return console.log(usage);
  const [word, ...surplus] = positionals;
  if (word === undefined) throw new CliError(`Name a phase.\n\n${usage}`);
  const phase = findPhase(word);
  refuseWords(usage, surplus);
  if (values.guess !== undefined) console.log(judgeGuess(phase, findMutant(phase, values.guess)));
  else if (values.reveal) console.log(reveal(phase));
  else process.exitCode = await start(toRunOptions(phase, values), values.another ?? false);
}

/** Runs a broken phase until it is stopped; resolves with the exit code. */
async function start(options: RunOptions, another: boolean): Promise<number> {
  const { phase } = options;
  const given = { redis: Boolean(process.env.REDIS_URL), config: options.config !== undefined };
  const candidates = listMutants(phase).filter(({ needs }) => needs.every((need) => given[need]));
  if (candidates.length === 0) throw new CliError(`shared/mutants has no mutant of ${phase.name}.`);
  const hidden = readHidden(phase);
  const isFit = hidden !== undefined && candidates.some(({ name }) => name === hidden.name);
  const mutant = isFit && !another ? hidden : hide(phase, candidates);
  const folder = makeMutantsFolder();
  try {
    writeMutant(mutant, folder);
    return await runPhase({ ...options, phase: { ...phase, folder } }, (...known) =>
      [greet(...known), describeTask(phase, candidates)].join('\n'),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function describeTask(phase: Phase, candidates: Mutant[]): string {
  return `But it is broken: one of these mistakes is in it.

${candidates.map(({ name }) => `  ${name}`).join('\n')}

Next: call it, from another terminal, until you know which. docs/contract.md says what it should do. Then:
  npm run break -- ${phase.number} --guess NAME
  npm run break -- ${phase.number} --reveal
`;
}

function judgeGuess(phase: Phase, guess: Mutant): string {
  const hidden = requireHidden(phase);
  const told = `${guess.name}: ${guess.story}`;
  if (guess.name !== hidden.name) {
    return `No, it is another one.\n\n  What you named is ${told}\n\nNext: look on, or npm run break -- ${phase.number} --reveal`;
  }
  uncover(phase, guess);
  return `Yes, that is it.\n\n${describeMutant(guess)}`;
}

function reveal(phase: Phase): string {
  const hidden = requireHidden(phase);
  uncover(phase, hidden);
  return describeMutant(hidden);
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

These sentences of the contract notice it:
${fails.map(({ file, sentence }) => `  ${file}: ${sentence}`).join('\n')}

Next: npm run mutants -- ${phase.number} ${name} shows that they do; npm run break -- ${phase.number} starts another mistake.`;
}

await runCommand(main);
