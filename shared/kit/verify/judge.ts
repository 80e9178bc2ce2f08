import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import escapeStringRegexp from 'escape-string-regexp';
import {
  breakdownsOf,
  byFile,
  fileOf,
  outside,
  readFault,
  readTest,
  type TestResult,
  testsOf,
} from '../../process/test-results.ts';
import { root } from '../../repository/phases.ts';
import { type HeldSentence, release, waitForHeld } from './hold.ts';
import type { Subject } from './subject.ts';
import { readVerdict, type Verdict } from './verdict.ts';

const testTimeoutMs = 30_000;
// The same number as in shared/contract/vitest.config.ts: the suites mostly wait.
const workers = 4;
// How long to wait for running tests when a run is ended early.
const graceMs = 3_000;

/** Which tests run, and for how long. */
export interface Order {
  suites: Array<{ suite: number; level: number }>;
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
  const pattern = order.only?.map((text) => escapeStringRegexp(text.replaceAll(' > ', ' '))).join('|');
  const folder = mkdtempSync(join(tmpdir(), 'gateway-verify-'));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', removeFolder);
  const report = inOrder(listener);
  const remarks = new Set<string>();
  let firstFailed: TestResult | undefined;
  let over = false;
  let timeIsUp = false;
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = () => {
      over = true;
      resolve();
    };
  });

  // Imported here: loading vitest takes time, and many mistakes are reported without it.
  const { createVitest } = await import('vitest/node');
  const vitest = await createVitest('test', {
    root,
    config: false,
    watch: false,
    passWithNoTests: true,
    maxWorkers: workers,
    projects: order.suites.map(({ suite, level }) => ({
      test: {
        name: String(suite),
        include: [`shared/contract/${suite}-*/*.test.ts`],
        setupFiles: [join(import.meta.dirname, 'record-evidence.ts')],
        env: {
          GATEWAY_COMMAND: JSON.stringify(subject.words),
          GATEWAY_LEVEL: String(level),
          HOLD_FOLDER: listener.onHeld ? folder : '',
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
          if (order.bail && test.state === 'failed') {
            firstFailed = test;
            end();
          }
        },
        onTestModuleEnd(module) {
          if (over) return;
          report.finished(fileOf(module.moduleId), testsOf(module, pattern));
          if (order.bail && breakdownsOf(module).length > 0) end();
        },
        onUserConsoleLog({ content }) {
          if (!remarks.has(content)) listener.onRemark?.(content.trim());
          remarks.add(content);
        },
      },
    ],
  });
  const limit = setTimeout(() => {
    timeIsUp = true;
    end();
  }, order.limitMs);
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
    const verdict = { ...readVerdict(vitest.state.getTestModules(), pattern), timeIsUp };
    if (firstFailed) verdict.tests = keepOneFailure(verdict.tests, firstFailed);
    if (over) await within(graceMs, vitest.cancelCurrentRun('test-failure'));
    for (const error of vitest.state.getUnhandledErrors()) verdict.breakdowns.push(outside(error));
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

/** Reports files in their order, whichever ends first. */
function inOrder({ onFile }: Listener) {
  const finished = new Map<string, TestResult[]>();
  let expected: string[] = [];
  return {
    expect(files: string[]): void {
      expected = files.toSorted(byFile);
    },
    finished(file: string, tests: TestResult[]): void {
      finished.set(file, tests);
      for (let next = expected[0]; next !== undefined && finished.has(next); next = expected[0]) {
        onFile?.(next, finished.get(next) ?? []);
        expected.shift();
      }
    },
  };
}

function testOf({ name, file, errors = [], evidence }: HeldSentence): TestResult {
  const faults = errors.map(readFault);
  return {
    suite: Number.parseInt(fileOf(file), 10),
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
