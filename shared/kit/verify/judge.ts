import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import escapeStringRegexp from 'escape-string-regexp';
import type { TestSpecification } from 'vitest/node';
import {
  type Breakdown,
  breakdownsOf,
  fileOf,
  outside,
  readFault,
  readTest,
  type TestResult,
  testsOf,
} from '../../process/test-results.ts';
import { root } from '../../repository/phases.ts';
import { type HeldSentence, release, waitForHeld } from './hold.ts';
import { killPrograms } from './leftovers.ts';
import type { Subject } from './subject.ts';
import { readVerdict, type Verdict } from './verdict.ts';

const testTimeoutMs = 30_000;
// The same number as in shared/contract/vitest.config.ts: the suites mostly wait.
const workers = 4;
// How long to wait for running tests when a run is ended early.
const graceMs = 3_000;
// When the failed tests of a step have waited this long in all, the others are not worth the wait.
const patienceMs = 40_000;

/** Which tests run, and for how long. */
export interface Order {
  /** The level of the gateway in each suite. */
  suites: Array<{ suite: number; level: number }>;
  /** The files of the contract that are judged, in their order. */
  files: string[];
  /** Files begin in their order, and the run ends at the first one that is open. */
  inSteps: boolean;
  /** Only tests whose names contain one of these texts; all of them when undefined. */
  only: string[] | undefined;
  bail: boolean;
  limitMs: number;
}

/** Callbacks during a run. */
export interface Listener {
  onTest?(test: TestResult): void;
  /** A file has ended. Files are reported in their order. */
  onFile?(file: string, tests: TestResult[]): void;
  /** A suite has printed a message, such as that there is no Redis. */
  onRemark?(text: string): void;
  /** The first failed test waits, with its gateway and its services, until this resolves. Then the run ends. */
  onHeld?(test: TestResult): Promise<void>;
}

/** Runs suites against a gateway. */
export async function judge(subject: Subject, order: Order, listener: Listener = {}): Promise<Verdict> {
  const begin = performance.now();
  const pattern = order.only?.map((text) => escapeStringRegexp(text.replaceAll(' > ', ' '))).join('|');
  const folder = mkdtempSync(join(tmpdir(), 'gateway-verify-'));
  const programs = join(folder, 'programs');
  mkdirSync(programs);
  const removeFolder = () => {
    // vitest kills a worker that is busy for half a second, before it can end its gateways.
    killPrograms(programs);
    rmSync(folder, { recursive: true, force: true });
  };
  // Suites that are cut off leave their temporary files. Node reads one of these variables, by system.
  const temporary = { TMPDIR: folder, TEMP: folder, TMP: folder };
  process.once('exit', removeFolder);
  const compare = (a: string, b: string) => order.files.indexOf(a) - order.files.indexOf(b);
  const report = inOrder(listener, compare, order.inSteps);
  const used = order.suites.filter(({ suite }) => order.files.some((file) => suiteOf(file) === suite));
  const remarks = new Set<string>();
  let firstFailed: TestResult | undefined;
  let over = false;
  let timeIsUp = false;
  let hangs = false;
  const waited = new Map<string, number>();
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = () => {
      over = true;
      resolve();
    };
  });

  // Imported here: loading vitest takes time, and many mistakes are reported without it.
  const { BaseSequencer, createVitest } = await import('vitest/node');
  class InOrder extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      return files.toSorted((a, b) => compare(fileOf(a.moduleId), fileOf(b.moduleId)));
    }
  }
  const vitest = await createVitest('test', {
    root,
    config: false,
    watch: false,
    passWithNoTests: true,
    maxWorkers: workers,
    ...(order.inSteps ? { sequence: { sequencer: InOrder } } : {}),
    projects: used.map(({ suite, level }) => ({
      test: {
        name: String(suite),
        include: order.files
          .filter((file) => suiteOf(file) === suite)
          .map((file) => `shared/contract/${file}`),
        setupFiles: [join(import.meta.dirname, 'record-evidence.ts')],
        env: {
          GATEWAY_COMMAND: JSON.stringify(subject.words),
          GATEWAY_LEVEL: String(level),
          HOLD_FOLDER: listener.onHeld ? folder : '',
          PROGRAMS_FOLDER: programs,
          ...temporary,
        },
        testTimeout: testTimeoutMs,
        hookTimeout: testTimeoutMs,
        testNamePattern: pattern,
      },
    })),
    reporters: [
      {
        onTestRunStart: (files) => report.expect(files.map(({ moduleId }) => fileOf(moduleId))),
        onTestCaseResult(testCase) {
          const test = readTest(testCase);
          if (over || test.state === 'skipped') return;
          listener.onTest?.(test);
          const ms = test.state === 'failed' ? (testCase.diagnostic()?.duration ?? 0) : 0;
          waited.set(test.file, (waited.get(test.file) ?? 0) + ms);
          hangs = order.inSteps && (waited.get(report.next() ?? '') ?? 0) > patienceMs;
          if (hangs) end();
          if (order.bail && test.state === 'failed') {
            firstFailed = test;
            end();
          }
        },
        onTestModuleEnd(module) {
          if (over) return;
          const breakdowns = breakdownsOf(module);
          const isOver = report.finished(fileOf(module.moduleId), testsOf(module, pattern), breakdowns);
          if (isOver || (order.bail && breakdowns.length > 0)) end();
        },
        onUserConsoleLog({ content }) {
          if (!remarks.has(content)) listener.onRemark?.(content.trim());
          remarks.add(content);
        },
      },
    ],
  });
  // Loading vitest takes a part of the time, on a busy machine a large one.
  const restMs = Math.max(1_000, order.limitMs - (performance.now() - begin));
  const limit = setTimeout(() => {
    timeIsUp = true;
    end();
  }, restMs);
  const listening = new AbortController();
  const held = listener.onHeld ? [waitForHeld(folder, listening.signal)] : [];
  try {
    const run = vitest.start();
    const first = await Promise.race([run, ended, ...held]);
    if (first && 'evidence' in first) {
      over = true;
      clearTimeout(limit);
      // Not awaited: it resolves when all tests have ended, and the held test is waiting.
      void vitest.cancelCurrentRun('test-failure');
      await listener.onHeld?.(testOf(first));
      release(folder);
      await within(graceMs, run);
    }
    const verdict = { ...readVerdict(vitest.state.getTestModules(), pattern), timeIsUp, hangs };
    if (order.inSteps && over) keepFiles(verdict, timeIsUp || hangs ? report.begun() : report.reported());
    if (firstFailed) verdict.tests = keepOneFailure(verdict.tests, firstFailed);
    if (over) await within(graceMs, vitest.cancelCurrentRun('test-failure'));
    // Those of a run that has ended at an open step come from the files that ran ahead of it.
    const errors = order.inSteps && over ? [] : vitest.state.getUnhandledErrors();
    for (const error of errors) verdict.breakdowns.push(outside(error));
    return verdict;
  } finally {
    listening.abort();
    clearTimeout(limit);
    await within(graceMs, vitest.close());
    process.off('exit', removeFolder);
    removeFolder();
  }
}

/** Files run at the same time, so a second test may fail before the run has ended. With --bail it counts as not reached. */
function keepOneFailure(tests: TestResult[], { file, name }: TestResult): TestResult[] {
  return tests.map((test) =>
    test.state === 'failed' && (test.file !== file || test.name !== name)
      ? { ...test, state: 'unreached' }
      : test,
  );
}

/** Leaves out the files that ran ahead of the first open step. */
function keepFiles(verdict: Verdict, files: string[]): void {
  verdict.tests = verdict.tests.filter(({ file }) => files.includes(file));
  verdict.breakdowns = verdict.breakdowns.filter(({ file }) => files.includes(file));
}

/** Reports files in their order, whichever ends first. */
function inOrder({ onFile }: Listener, compare: (a: string, b: string) => number, stopsAtOpen: boolean) {
  const finished = new Map<string, { tests: TestResult[]; isOpen: boolean }>();
  let expected: string[] = [];
  let count = 0;
  return {
    expect(files: string[]): void {
      expected = files.toSorted(compare);
    },
    /** Returns true when an open file has ended the report. */
    finished(file: string, tests: TestResult[], breakdowns: Breakdown[]): boolean {
      const isOpen = breakdowns.length > 0 || tests.some(({ state }) => state === 'failed');
      finished.set(file, { tests, isOpen });
      for (let next = expected[count]; next !== undefined; next = expected[count]) {
        const result = finished.get(next);
        if (!result) return false;
        count++;
        onFile?.(next, result.tests);
        if (stopsAtOpen && result.isOpen) return true;
      }
      return false;
    },
    reported: () => expected.slice(0, count),
    /** The first file that is not reported yet. */
    next: () => expected[count],
    /** The reported files, and the one that would have been next. */
    begun: () => expected.slice(0, count + 1),
  };
}

function suiteOf(file: string): number {
  return Number.parseInt(file, 10);
}

function testOf({ name, file, errors = [], evidence }: HeldSentence): TestResult {
  const faults = errors.map(readFault);
  return {
    suite: suiteOf(fileOf(file)),
    file: fileOf(file),
    name,
    state: 'failed',
    faults,
    evidence,
  };
}

/** Waits for a promise, at most for `ms`. Its result and its error are ignored. */
async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  const controller = new AbortController();
  const timeout = sleep(ms, undefined, { signal: controller.signal });
  await Promise.race([promise, timeout]).catch(() => {});
  controller.abort();
  await timeout.catch(() => {});
}
