import { stripVTControlCharacters } from 'node:util';
import { createVitest, type TestCase, type TestModule, type TestSuite } from 'vitest/node';
import { root } from '../repository/phases.ts';

/** Numbers of tests. A file or hook that fails outside a test counts as one failure. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** How one file of a vitest project ended. */
export interface FileOutcome {
  counts: Counts;
  /** One paragraph per failure: project, file, test, reason. */
  failures: string[];
}

/** How a vitest project ended. */
export interface ProjectOutcome extends FileOutcome {
  /** The counts of its files, by their paths from the root. */
  files: Map<string, Counts>;
}

/** Adds counts up. */
export function sum(all: Iterable<Counts>): Counts {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const { passed, failed, skipped } of all) {
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  }
  return total;
}

/** '61 passed, 0 failed', with the number of skipped tests if there are any. */
export function formatCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/**
 * Runs vitest projects in this process, prints a line per finished file, and returns the outcome of each project.
 * Errors outside any test are under the name ''. Sets process.exitCode when a test fails.
 */
export function runProjects(
  names: string[],
  print: (line: string) => void,
  options: { maxWorkers?: number } = {},
): Promise<Map<string, ProjectOutcome>> {
  return runVitest({ project: names, ...options }, print, (modules, unhandled) => {
    const outcomes = new Map(names.map((name) => [name, combine(modules, name)]));
    if (unhandled.length > 0) {
      const failures = unhandled.map((error) => `outside any test\n${describeError(error)}`);
      const counts = { passed: 0, failed: failures.length, skipped: 0 };
      outcomes.set('', { counts, failures, files: new Map() });
    }
    return outcomes;
  });
}

/**
 * Runs vitest in this process, prints a line per finished file, and returns the result of `read`, which gets the files
 * and the errors outside any file. Sets process.exitCode when a test fails.
 */
export async function runVitest<T>(
  options: Parameters<typeof createVitest>[1],
  print: (line: string) => void,
  read: (modules: TestModule[], unhandled: unknown[]) => T,
): Promise<T> {
  const printed = new Set<string>();
  const vitest = await createVitest('test', {
    root,
    watch: false,
    passWithNoTests: true,
    reporters: [
      {
        onTestModuleEnd: (module) => print(progressLine(module)),
        // A suite prints the same message for every phase. It is shown once.
        onUserConsoleLog: ({ content }) => {
          if (!printed.has(content)) print(content.trim());
          printed.add(content);
        },
      },
    ],
    ...options,
  });
  try {
    const { testModules, unhandledErrors } = await vitest.start();
    const { seed } = vitest.config.sequence;
    if (seed !== undefined && testModules.some((module) => !module.ok()))
      print(`The order of the sentences was that of --sequence.seed=${seed}.`);
    return read(testModules, unhandledErrors);
  } finally {
    await vitest.close();
  }
}

function combine(modules: TestModule[], project: string): ProjectOutcome {
  const own = modules.filter((module) => module.project.name === project);
  const files = new Map(own.map((module) => [module.relativeModuleId, outcomeOfFile(module)]));
  const outcomes = [...files.values()];
  return {
    counts: sum(outcomes.map(({ counts }) => counts)),
    failures: outcomes.flatMap(({ failures }) => failures),
    files: new Map([...files].map(([file, { counts }]) => [file, counts])),
  };
}

function progressLine(module: TestModule): string {
  return `  ${module.project.name.padEnd(15)}  ${module.relativeModuleId}  ${formatCounts(outcomeOfFile(module).counts)}`;
}

/** How a file ended. */
export function outcomeOfFile(module: TestModule): FileOutcome {
  const failures = findFailures(module);
  const count = (state: 'passed' | 'skipped') => [...module.children.allTests(state)].length;
  return {
    counts: { passed: count('passed'), failed: failures.length, skipped: count('skipped') },
    failures,
  };
}

/** Failed tests, hooks and files. vitest reports the tests of a failed hook or file as skipped. */
function findFailures(module: TestModule): string[] {
  const found: string[] = [];
  const add = (what: TestModule | TestSuite | TestCase, errors: readonly unknown[] | undefined) => {
    const name = what.type === 'module' ? '' : ` > ${what.fullName}`;
    const where = `${module.project.name}  ${module.relativeModuleId}${name}`;
    if (errors && errors.length > 0) found.push([where, ...errors.map(describeError)].join('\n'));
  };
  add(module, module.errors());
  for (const suite of module.children.allSuites()) add(suite, suite.errors());
  for (const test of module.children.allTests('failed')) add(test, test.result().errors);
  return found;
}

/** Message, difference, cause and place of an error that vitest has serialised. */
function describeError(error: unknown): string {
  const { message, diff, cause, stacks } = error as SerializedError;
  const [place] = stacks ?? [];
  const at = place && `at ${place.file}:${place.line}`;
  const lines = [message ?? String(error), diff, cause?.message, at].filter(Boolean).join('\n');
  return stripVTControlCharacters(lines).replaceAll(/^/gm, '    ');
}

interface SerializedError {
  message?: string;
  diff?: string;
  cause?: { message?: string };
  stacks?: Array<{ file: string; line: number }>;
}
