import { huntMutants } from '../mutants/hunt.ts';
import { findProblem, formatKillTable } from '../mutants/kill-table.ts';
import { findMutant, listMutants, type Mutant } from '../mutants/mutant.ts';
import { isQuick } from '../mutants/quick-mutants.ts';
import { findPhase, listPhases } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { refuseWords } from '../terminal/option-values.ts';

const usage = `npm run mutants -- [PHASE] [NAME] [options]

Puts one plausible mistake after the other into a copy of a phase and runs the contract against it. Exactly the sentences
that the patch in shared/mutants names must fail. Prints which sentences caught which mistake.
  npm run mutants              every mutant of every phase
  npm run mutants -- 3         those of phase 3
  npm run mutants -- 3 NAME    that one

  --all    runs the suites 1 to N against a mutant of phase N, not only the files that its patch names; takes long
  --quick  only mutants that are caught within seconds
  --list   the names and stories, without running anything
  --help   this text`;

async function main(): Promise<void> {
  const { values, positionals } = readArguments(usage, {
    all: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  const mutants = chooseMutants(positionals).filter((mutant) => !values.quick || isQuick(mutant));
  if (values.list) return console.log(listNames(mutants));
  const verdicts = await huntMutants(mutants, values.all, console.log);
  // vitest sets it when tests fail. Here they have to fail.
  process.exitCode = 0;
  console.log(`\n${formatKillTable(verdicts)}\n`);
  const problems = verdicts.flatMap((verdict) => findProblem(verdict) ?? []);
  if (problems.length > 0) throw new CliError(problems.join('\n\n'));
  console.log('Next: npm run break -- 3 starts phase 3 with one of its mutants in it. Find out which one.');
}

function chooseMutants([word, name, ...extra]: string[]): Mutant[] {
  refuseWords(usage, extra);
  if (word === undefined) return listPhases().flatMap(listMutants);
  const phase = findPhase(word);
  return name === undefined ? listMutants(phase) : [findMutant(phase, name)];
}

function listNames(mutants: Mutant[]): string {
  const lines = mutants.map(({ phase, name, story }) => `${phase.name}/${name}\n  ${story}`);
  const [first] = mutants;
  if (first)
    lines.push('', `Next: npm run mutants -- ${first.phase.number} ${first.name}, or another of them`);
  return lines.join('\n');
}

await runCommand(main);
