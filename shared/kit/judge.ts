import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from '../cli/phases.ts';
import { type Held, release, waitForHeld } from './hold.ts';
import type { Subject } from './subject.ts';
import {
  breakdownsOf,
  byFile,
  fileOf,
  outside,
  readFault,
  readSentence,
  readVerdict,
  type Sentence,
  sentencesOf,
  type Verdict,
} from './verdict.ts';

const sentenceMs = 30_000;
// As many files at a time as when a suite is run by hand: they wait more than they compute.
const workers = 4;
// What still runs when a run is ended early gets this long.
const graceMs = 3_000;

/** Which sentences are judged, and for how long. */
export interface Order {
  suites: Array<{ suite: number; level: number }>;
  /** Only sentences that hold one of these texts; all of them when undefined. */
  only: string[] | undefined;
  bail: boolean;
  limitMs: number;
}

/** Hears of a run while it goes on. */
export interface Listener {
  onSentence?(sentence: Sentence): void;
  /** A file has ended. Files are told in their order. */
  onFile?(file: string, sentences: Sentence[]): void;
  /** A suite has something to say, such as that there is no Redis. */
  onRemark?(text: string): void;
  /** The first sentence that fails waits, with its gateway and its services, until this resolves; then the run ends. */
  onHeld?(sentence: Sentence): Promise<void>;
}

/** Runs suites against a gateway. */
export async function judge(subject: Subject, order: Order, listener: Listener = {}): Promise<Verdict> {
  const pattern = order.only?.map((text) => literally(text.replaceAll(' > ', ' '))).join('|');
  const folder = mkdtempSync(join(tmpdir(), 'gateway-verify-'));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', removeFolder);
  const tell = inOrder(listener);
  const remarks = new Set<string>();
  let over = false;
  let timeIsUp = false;
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = () => {
      over = true;
      resolve();
    };
  });

  // Not at the top: it takes a moment, and much is refused before it is needed.
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
        include: [`shared/contract/${suite}-*.test.ts`],
        setupFiles: [join(import.meta.dirname, 'record-evidence.ts')],
        env: {
          GATEWAY_COMMAND: JSON.stringify(subject.words),
          GATEWAY_LEVEL: String(level),
          HOLD_FOLDER: listener.onHeld ? folder : '',
        },
        testTimeout: sentenceMs,
        hookTimeout: sentenceMs,
        testNamePattern: pattern,
      },
    })),
    reporters: [
      {
        onTestRunStart: (files) => tell.expect(files.map(({ moduleId }) => basename(moduleId))),
        onTestCaseResult(test) {
          const sentence = readSentence(test);
          if (over || sentence.state === 'skipped') return;
          listener.onSentence?.(sentence);
          if (order.bail && sentence.state === 'failed') end();
        },
        onTestModuleEnd(module) {
          if (over) return;
          tell.finished(fileOf(module), sentencesOf(module, pattern));
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
      // Not awaited: it resolves when everything has ended, and the held test waits.
      void vitest.cancelCurrentRun('test-failure');
      await listener.onHeld?.(sentenceOf(first));
      release(folder);
      await within(graceMs, run);
    }
    const verdict = { ...readVerdict(vitest.state.getTestModules(), pattern), timeIsUp };
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

/** Tells of files in their order, whichever ends first. */
function inOrder({ onFile }: Listener) {
  const finished = new Map<string, Sentence[]>();
  let expected: string[] = [];
  return {
    expect(files: string[]): void {
      expected = files.toSorted(byFile);
    },
    finished(file: string, sentences: Sentence[]): void {
      finished.set(file, sentences);
      for (let next = expected[0]; next !== undefined && finished.has(next); next = expected[0]) {
        onFile?.(next, finished.get(next) ?? []);
        expected.shift();
      }
    },
  };
}

function sentenceOf({ name, file, errors = [], evidence }: Held): Sentence {
  const faults = errors.map(readFault);
  return {
    suite: Number.parseInt(basename(file), 10),
    file: basename(file),
    name,
    state: 'failed',
    faults,
    evidence,
  };
}

function literally(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}

/** Waits for a promise, but only so long; what becomes of it does not matter. */
async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  const patience = new AbortController();
  const late = sleep(ms, undefined, { signal: patience.signal });
  await Promise.race([promise, late]).catch(() => {});
  patience.abort();
  await late.catch(() => {});
}
