import { basename, relative, sep } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { TestCase, TestModule, TestSuite } from 'vitest/node';
import { root } from '../cli/phases.ts';
import type { Evidence } from './evidence.ts';

/** What a failed sentence, or a file that broke, says. */
export interface Fault {
  message: string;
  /** Expected and received, line by line, or ''. */
  diff: string;
  expected: string | undefined;
  actual: string | undefined;
  /** 'shared/contract/2-client-identity.test.ts:97', or ''. */
  place: string;
}

/** One sentence of the contract, and whether the gateway keeps it. */
export interface Sentence {
  suite: number;
  /** '2-client-identity.test.ts' */
  file: string;
  /** The blocks around it and its own words, joined by ' > '. */
  name: string;
  /** `unreached`: it never ran, because its file broke before or the run was ended. */
  state: 'passed' | 'failed' | 'skipped' | 'unreached';
  faults: Fault[];
  evidence: Evidence | undefined;
}

/** Something outside a sentence that broke, such as a gateway that did not start for a whole file. */
export interface Breakdown {
  suite: number;
  file: string;
  /** The block it belongs to, '' for the whole file. */
  block: string;
  fault: Fault;
  /** The sentences that were not reached because of it. */
  unreached: number;
}

/** What came of a run. */
export interface Verdict {
  /** In the order of the suites, their files and the sentences in them. */
  sentences: Sentence[];
  breakdowns: Breakdown[];
  /** True when the run was ended by its time limit. */
  timeIsUp: boolean;
}

/** What the tests of these files say so far. `pattern` is that of the names that are meant. */
export function readVerdict(modules: TestModule[], pattern: string | undefined): Omit<Verdict, 'timeIsUp'> {
  const inOrder = modules.toSorted((a, b) => byFile(fileOf(a), fileOf(b)));
  return {
    sentences: inOrder.flatMap((module) => sentencesOf(module, pattern)),
    breakdowns: inOrder.flatMap(breakdownsOf),
  };
}

/** Sorts files without their ending: 3-rate-limiting comes before 3-rate-limiting-addresses. */
export function byFile(a: string, b: string): number {
  const stem = (file: string) => file.replace(/\.test\.ts$/, '');
  return stem(a) < stem(b) ? -1 : 1;
}

/** The sentences of a file whose names match. */
export function sentencesOf(module: TestModule, pattern: string | undefined): Sentence[] {
  const isMeant = ({ name }: Sentence) =>
    pattern === undefined || new RegExp(pattern).test(name.replaceAll(' > ', ' '));
  return [...module.children.allTests()].map(readSentence).filter(isMeant);
}

/** One sentence as its test says. */
export function readSentence(test: TestCase): Sentence {
  const { state, errors = [] } = test.result();
  return {
    suite: suiteOf(test.module),
    file: fileOf(test.module),
    name: test.fullName,
    state: state === 'pending' || (state === 'skipped' && test.options.mode === 'run') ? 'unreached' : state,
    faults: errors.map(readFault),
    evidence: test.meta().evidence,
  };
}

/** What broke in a file beside its sentences. */
export function breakdownsOf(module: TestModule): Breakdown[] {
  const breakdowns: Breakdown[] = [];
  const add = (what: TestModule | TestSuite, block: string) => {
    const unreached = [...what.children.allTests()].filter(
      (test) => readSentence(test).state === 'unreached',
    );
    for (const error of what.errors()) {
      breakdowns.push({
        suite: suiteOf(module),
        file: fileOf(module),
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
  // The outermost line: the sentence itself, not what it calls.
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

/** '2-client-identity.test.ts' */
export function fileOf(module: TestModule): string {
  return basename(module.moduleId);
}
