import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { TestModule } from 'vitest/node';
import { CliError } from '../cli/cli-error.ts';
import { root } from '../cli/phases.ts';
import { runVitest } from '../cli/run-projects.ts';
import { type Breakdown, breakdownsOf, type Fault, sentencesOf } from '../kit/verdict.ts';
import { type Mutant, writeMutant } from './mutant.ts';
import { makeMutantsFolder } from './mutants-folder.ts';
import { type Finding, judge, type Verdict } from './verdict.ts';

// A sentence that hangs because of the mistake gets this long.
const sentenceMs = 30_000;
// The suites wait more than they compute, but each mutant is a gateway, or several, of its own.
const atOnce = 3;

/**
 * Holds the contract against mutants and says what it finds: only the files whose sentences the patches name, or the
 * suites 1 to N of phase N if `all`. A mutant that is not killed is tried once more, for a machine may be too busy for
 * a sentence about time. Prints a line per finished file.
 */
export async function huntMutants(
  mutants: Mutant[],
  all: boolean,
  print: (line: string) => void,
): Promise<Verdict[]> {
  const verdicts = await hunt(mutants, all, print);
  const doubtful = verdicts.filter(({ outcome }) => outcome === 'survived' || outcome === 'differs');
  if (doubtful.length === 0) return verdicts;
  print(`  Once more: ${doubtful.map(({ mutant }) => mutant.name).join(', ')}`);
  const again = await hunt(
    doubtful.map(({ mutant }) => mutant),
    all,
    print,
  );
  return verdicts.map((verdict) => again.find(({ mutant }) => mutant === verdict.mutant) ?? verdict);
}

async function hunt(mutants: Mutant[], all: boolean, print: (line: string) => void): Promise<Verdict[]> {
  const folder = makeMutantsFolder();
  try {
    for (const mutant of mutants) writeMutant(mutant, join(folder, projectName(mutant)));
    compile(folder);
    const projects = mutants.map((mutant) => toProject(mutant, join(folder, projectName(mutant)), all));
    const options = { config: false as const, maxWorkers: atOnce, projects };
    // Errors outside any file are left alone: a sentence that fails leaves promises behind that nobody waits for.
    return await runVitest(options, print, (modules) =>
      mutants.map((mutant) => {
        const own = modules.filter(({ project }) => project.name === projectName(mutant));
        return judge(mutant, own.flatMap(readFindings));
      }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Makes JavaScript of what is in the folder: a run starts gateways by the hundred, and tsx takes a third of each start. */
function compile(folder: string): void {
  const compilerOptions = { noEmit: false, noCheck: true, rewriteRelativeImportExtensions: true };
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions, include: ['.'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' });
  if (status !== 0)
    throw new CliError(`A mutant is no program. Mend its patch in shared/mutants:\n${stdout}`);
}

function projectName({ phase, name }: Mutant): string {
  return `${phase.name}/${name}`;
}

function toProject(mutant: Mutant, folder: string, all: boolean) {
  const { number } = mutant.phase;
  const suites = Array.from({ length: number }, (_, i) => `shared/contract/${i + 1}-*.test.ts`);
  const named = [...new Set(mutant.fails.map(({ file }) => `shared/contract/${file}.test.ts`))];
  return {
    test: {
      name: projectName(mutant),
      include: all ? suites : named,
      env: {
        GATEWAY_COMMAND: JSON.stringify(['node', join(folder, 'server.js')]),
        GATEWAY_LEVEL: String(number),
      },
      testTimeout: sentenceMs,
      hookTimeout: sentenceMs,
    },
  };
}

function readFindings(module: TestModule): Finding[] {
  const file = basename(module.moduleId, '.test.ts');
  const sentences = sentencesOf(module, undefined).map(({ name, state, faults }): Finding => {
    const reason = faults.map(tellFault).join('\n');
    return { file, sentence: name, state: state === 'unreached' ? 'skipped' : state, reason };
  });
  return [...sentences, ...breakdownsOf(module).map((breakdown) => toFinding(file, breakdown))];
}

/** A hook, a block or a whole file that broke, as a sentence that failed. */
function toFinding(file: string, { block, fault }: Breakdown): Finding {
  const sentence = [block, 'outside its sentences'].filter(Boolean).join(' > ');
  return { file, sentence, state: 'failed', reason: tellFault(fault) };
}

function tellFault({ message, diff, place }: Fault): string {
  return [message, diff, place && `at ${place}`].filter(Boolean).join('\n').replaceAll(/^/gm, '    ');
}
