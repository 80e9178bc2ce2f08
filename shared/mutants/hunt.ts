import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TestModule } from 'vitest/node';
import { bundleServer } from '../process/built-phase.ts';
import { type Breakdown, breakdownsOf, type Fault, fileOf, testsOf } from '../process/test-results.ts';
import { runVitest } from '../process/vitest.ts';
import { CliError } from '../terminal/cli-error.ts';
import { type Mutant, writeMutant } from './mutant.ts';
import { makeMutantsFolder } from './mutants-folder.ts';
import { judgeMutant, type MutantVerdict, type SentenceResult } from './verdict.ts';

// Time limit for a test that hangs because of the mistake.
const testTimeoutMs = 30_000;
// The suites mostly wait, but each mutant starts one or more gateways.
const maxWorkers = 3;

/**
 * Runs the contract against mutants: only the files that the patches name, or with `all` the suites 1 to N against a mutant
 * of phase N. A mutant that is not killed is tried once more, because a test about time may fail on a busy machine. Prints
 * a line per finished file.
 */
export async function huntMutants(
  mutants: Mutant[],
  all: boolean,
  print: (line: string) => void,
): Promise<MutantVerdict[]> {
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

async function hunt(
  mutants: Mutant[],
  all: boolean,
  print: (line: string) => void,
): Promise<MutantVerdict[]> {
  const folder = makeMutantsFolder();
  try {
    for (const mutant of mutants) {
      const place = join(folder, projectName(mutant));
      writeMutant(mutant, place);
      const report = bundleServer(place);
      if (report !== '')
        throw new CliError(`A mutant does not compile. Fix its patch in shared/mutants:\n${report}`);
    }
    const projects = mutants.map((mutant) => toProject(mutant, join(folder, projectName(mutant)), all));
    const options = { config: false as const, maxWorkers, projects };
    // Errors outside any file are ignored: a failed test may leave promises behind that are not awaited.
    return await runVitest(options, print, (modules) =>
      mutants.map((mutant) => {
        const own = modules.filter(({ project }) => project.name === projectName(mutant));
        return judgeMutant(mutant, own.flatMap(readFindings));
      }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function projectName({ phase, name }: Mutant): string {
  return `${phase.name}/${name}`;
}

function toProject(mutant: Mutant, folder: string, all: boolean) {
  const { number } = mutant.phase;
  const suites = Array.from({ length: number }, (_, i) => `shared/contract/${i + 1}-*/*.test.ts`);
  const named = [...new Set(mutant.fails.map(({ file }) => `shared/contract/${file}.test.ts`))];
  return {
    test: {
      name: projectName(mutant),
      include: all ? suites : named,
      env: {
        GATEWAY_COMMAND: JSON.stringify(['node', join(folder, 'server.js')]),
        GATEWAY_LEVEL: String(number),
      },
      testTimeout: testTimeoutMs,
      hookTimeout: testTimeoutMs,
    },
  };
}

function readFindings(module: TestModule): SentenceResult[] {
  const file = fileOf(module.moduleId).replace(/\.test\.ts$/, '');
  const tests = testsOf(module, undefined).map(({ name, state, faults }): SentenceResult => {
    const reason = faults.map(describeFault).join('\n');
    return { file, test: name, state: state === 'unreached' ? 'skipped' : state, reason };
  });
  return [...tests, ...breakdownsOf(module).map((breakdown) => toFinding(file, breakdown))];
}

/** A hook, a block or a whole file that broke, as a failed test. */
function toFinding(file: string, { block, fault }: Breakdown): SentenceResult {
  const test = [block, 'outside its sentences'].filter(Boolean).join(' > ');
  return { file, test, state: 'failed', reason: describeFault(fault) };
}

function describeFault({ message, diff, place }: Fault): string {
  return [message, diff, place && `at ${place}`].filter(Boolean).join('\n').replaceAll(/^/gm, '    ');
}
