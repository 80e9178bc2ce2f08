import { relative, sep } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { TestCase, TestModule, TestSuite } from 'vitest/node';
import { root } from '../repository/phases.ts';
import type { Evidence } from './evidence.ts';

/** The error of a failed test, or of a file that broke. */
export interface Fault {
  message: string;
  /** Expected and received, line by line; '' when there is no diff. */
  diff: string;
  expected: string | undefined;
  actual: string | undefined;
  /** 'shared/contract/2-client-identity/1-who-is-asking.test.ts:97'; '' when unknown. */
  place: string;
}

/** One test of the contract (a sentence, in texts for users) and its result. */
export interface TestResult {
  suite: number;
  /** '2-client-identity/1-who-is-asking.test.ts' */
  file: string;
  /** The names of its blocks and its own name, joined by ' > '. */
  name: string;
  /** `unreached`: it did not run, because its file broke before or the run was ended. */
  state: 'passed' | 'failed' | 'skipped' | 'unreached';
  faults: Fault[];
  evidence: Evidence | undefined;
}

/** A failure outside the tests, such as a gateway that did not start for a whole file. */
export interface Breakdown {
  suite: number;
  file: string;
  /** The describe block it belongs to; '' for the whole file. */
  block: string;
  fault: Fault;
  /** The number of tests that did not run because of it. */
  unreached: number;
}

/** Compares files of the contract: their numbers are their order. */
export function byFile(a: string, b: string): number {
  return a < b ? -1 : 1;
}

/** The tests of a file whose names match `pattern`; all of them when it is undefined. */
export function testsOf(module: TestModule, pattern: string | undefined): TestResult[] {
  const matches = ({ name }: TestResult) =>
    pattern === undefined || new RegExp(pattern).test(name.replaceAll(' > ', ' '));
  return [...module.children.allTests()].map(readTest).filter(matches);
}

/** The result of a test. */
export function readTest(test: TestCase): TestResult {
  const result = test.result();
  const { state, errors = [] } = result;
  // A test that skips itself while it runs has a note. One that did not run has none.
  const isLeftOut = state === 'skipped' && test.options.mode === 'run' && result.note === undefined;
  return {
    suite: suiteOf(test.module),
    file: fileOf(test.module.moduleId),
    name: test.fullName,
    state: state === 'pending' || isLeftOut ? 'unreached' : state,
    faults: errors.map(readFault),
    evidence: test.meta().evidence,
  };
}

/** The failures of a file outside its tests. */
export function breakdownsOf(module: TestModule): Breakdown[] {
  const breakdowns: Breakdown[] = [];
  const add = (what: TestModule | TestSuite, block: string) => {
    const unreached = [...what.children.allTests()].filter((test) => readTest(test).state === 'unreached');
    for (const error of what.errors()) {
      breakdowns.push({
        suite: suiteOf(module),
        file: fileOf(module.moduleId),
        block,
        fault: readFault(error),
        unreached: unreached.length,
      });
    }
  };
  add(module, '');
  for (const suite of module.children.allSuites()) add(suite, suite.fullName);
  return breakdowns;
}

/** An error that belongs to no file. */
export function outside(error: unknown): Breakdown {
  return { suite: 0, file: '', block: '', fault: readFault(error), unreached: 0 };
}

interface SerializedError {
  message?: string;
  diff?: string;
  expected?: string;
  actual?: string;
  cause?: { message?: string };
  stacks?: Array<{ file: string; line: number }>;
}

/** An error as vitest has serialised it. */
export function readFault(error: unknown): Fault {
  const { message, diff, expected, actual, cause, stacks = [] } = error as SerializedError;
  // The outermost frame in a test file: the test itself, not a function that it calls.
  const place = stacks.findLast(({ file }) => file.includes('.test.')) ?? stacks[0];
  const file = place && relative(root, place.file).split(sep).join('/');
  return {
    message: stripVTControlCharacters([message ?? String(error), cause?.message].filter(Boolean).join('\n')),
    diff: stripVTControlCharacters(diff ?? ''),
    expected,
    actual,
    place: place ? `${file}:${place.line}` : '',
  };
}

function suiteOf(module: TestModule): number {
  return Number(module.project.name);
}

/** The folder and the name of a test file, given its path: '2-client-identity/1-who-is-asking.test.ts'. */
export function fileOf(path: string): string {
  return path.split(/[/\\]/).slice(-2).join('/');
}
