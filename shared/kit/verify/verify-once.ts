import { once } from 'node:events';
import type { TestResult } from '../../process/test-results.ts';
import { listPhases } from '../../repository/phases.ts';
import { listSteps, type Step } from '../../repository/steps.ts';
import { colour } from '../../terminal/colour.ts';
import { count } from '../../terminal/count.ts';
import { showStep } from '../workspace/task-page.ts';
import { workspacePhase } from '../workspace/workspace.ts';
import { describeFailure, describeHeld } from './failure-text.ts';
import { judge, type Listener } from './judge.ts';
import { judgeTwice, tellUnsteady } from './judge-again.ts';
import { keepFailures, keepVerdict, type LastVerdict, lastVerdict } from './last-verdict.ts';
import { tellOverload } from './overload.ts';
import { NotJudged, tryOut } from './preflight.ts';
import { usesFastify } from './subject.ts';
import type { Verdict } from './verdict.ts';
import {
  countTests,
  formatFailures,
  formatSummary,
  isWitness,
  nameStep,
  numberedTitle,
  tellFailure,
  tellLevel,
  tellSuccess,
} from './verdict-text.ts';
import type { VerifyOptions } from './verify-options.ts';

const startMs = 20_000;

/** The result of a run. */
export interface VerifyOutcome {
  isKept: boolean;
  /** The names of the tests that failed, and of those that did not run because their file broke. */
  failed: string[];
}

/**
 * Judges a gateway once and prints the verdict. `again` limits it to these tests. Throws a NotJudged when there can be no
 * verdict.
 */
export async function verifyOnce(options: VerifyOptions, again?: string[]): Promise<VerifyOutcome> {
  const { subject, phase, only, step, sentence, limitMs } = options;
  const isPart = [again, sentence, only, step].some((choice) => choice !== undefined);
  const inSteps = !isPart && !options.all && !options.bail && !options.hold;
  const begin = performance.now();
  const elapsedMs = () => performance.now() - begin;
  console.log(`${colour.bold(`Phase ${numberedTitle(phase)}`)}: ${subject.command}`);
  const tried = await tryOut(subject, phase, { startMs: Math.min(startMs, limitMs) });
  const accepted = tried.at(-1)?.phase.number ?? phase.number;
  if (accepted < phase.number) console.log(tellLevel(tried, phase));

  const known = listPhases().map(({ number }) => number);
  const suites =
    step || only !== undefined
      ? [step?.suite ?? only ?? phase.number]
      : known.filter((number) => number <= phase.number);
  const order = {
    // A gateway that refuses the config of its phase may still pass the suites of earlier ones.
    suites: suites.map((suite) => ({ suite, level: Math.max(suite, accepted) })),
    files: step ? [step.file] : filesOf(inSteps ? ownFirst(suites, phase.number) : suites),
    inSteps,
    only: again ?? (sentence === undefined ? undefined : [sentence]),
    bail: options.bail,
    limitMs: Math.max(1_000, limitMs - elapsedMs()),
  };
  const { verdict, unsteady } = options.hold
    ? {
        verdict: await judge(subject, order, {
          ...progress(),
          onHeld: (test) => hold(test, usesFastify(subject)),
        }),
        unsteady: [],
      }
    : await judgeTwice(subject, order, progress());
  const failed = failuresIn(verdict);
  const openStep = inSteps ? findStep(failed[0]?.file ?? verdict.breakdowns[0]?.file) : undefined;
  const isWhole = !isPart && !openStep && !options.bail && !options.hold && !verdict.timeIsUp;
  const stillFailed = isWhole ? [] : notJudgedAgain(verdict, lastVerdict(subject, phase));
  keepVerdict(subject, phase, { at: Date.now(), failed: [...failed, ...stillFailed] });

  const files = new Set(verdict.tests.map(({ file }) => file));
  // A step that was cut off has not been reported yet.
  if (inSteps && (verdict.timeIsUp || verdict.hangs))
    reportStep(
      order.files.findLast((file) => files.has(file)),
      verdict,
    );
  const failures = options.hold
    ? ''
    : formatFailures(verdict, usesFastify(subject), keepFailures, files.size);
  if (failures) console.log(`\n${failures}`);
  console.log(`\n${formatSummary(verdict, suites)}\n`);
  const { judged, open } = countStates(verdict);
  for (const remark of [tellUnsteady(unsteady), verdict.hangs ? tellHang(open - failed.length) : ''])
    if (remark) console.log(`${remark}\n`);
  // A gateway that has died did so for a reason of its own.
  const mayBeLate = failed.length > 0 || verdict.timeIsUp;
  const overload = mayBeLate && !verdict.tests.some(isWitness) ? tellOverload() : '';
  if (verdict.timeIsUp) throw new NotJudged(tellTime(limitMs, failed.length, open, overload));
  if (judged === 0 && verdict.breakdowns.length === 0) throw new NotJudged(tellNothing(options));
  const isKept = open === 0 && verdict.breakdowns.length === 0;
  const seconds = Math.round(elapsedMs() / 1_000);
  console.log(
    isKept
      ? tellSuccess(options, { suites, judged, isPart, seconds })
      : tellFailure(options, openStep, { seconds, overload }),
  );
  if (inSteps && subject.kind === 'workspace' && workspacePhase()?.number === phase.number) {
    const isNew = (openStep || isKept) && (await showStep(phase, openStep));
    if (isNew)
      console.log(
        `workspace/TASK.md is the page of ${openStep ? nameStep(openStep) : 'a phase that is done'}.`,
      );
  }
  return { isKept, failed: failed.map(({ name }) => name) };
}

function failuresIn({ tests, breakdowns }: Verdict) {
  return tests.flatMap(({ suite, file, name, state }) => {
    const broken = state === 'unreached' && breakdowns.some((breakdown) => breakdown.file === file);
    return state === 'failed' || broken ? [{ suite, file, name, broken }] : [];
  });
}

/** The tests that failed before and were left out this time. */
function notJudgedAgain({ tests }: Verdict, last: LastVerdict | undefined): LastVerdict['failed'] {
  const judged = new Set(
    tests.flatMap(({ name, state }) => (state === 'passed' || state === 'failed' ? [name] : [])),
  );
  return last?.failed.filter(({ name }) => !judged.has(name)) ?? [];
}

function countStates({ tests }: Verdict): { judged: number; open: number } {
  const countIn = (...states: string[]) => tests.filter(({ state }) => states.includes(state)).length;
  return { judged: countIn('passed', 'failed'), open: countIn('failed', 'unreached') };
}

/** The suite of the phase first: it is the one that its author works on. */
function ownFirst(suites: number[], own: number): number[] {
  return [own, ...suites.filter((suite) => suite !== own)];
}

function filesOf(suites: number[]): string[] {
  return suites.flatMap((suite) => listSteps(suite).map(({ file }) => file));
}

function findStep(file: string | undefined): Step | undefined {
  return listSteps(Number.parseInt(file ?? '', 10)).find((step) => step.file === file);
}

function reportStep(file: string | undefined, { tests }: Pick<Verdict, 'tests'>): void {
  const own = tests.filter((test) => test.file === file);
  if (own.length > 0) console.log(`  ${nameStep(findStep(file)).padEnd(58)}  ${countTests(own)}`);
}

/** Prints a line per step, and on a terminal the progress of the run. */
function progress(): Listener {
  let done = 0;
  let failed = 0;
  const onTerminal = process.stderr.isTTY;
  return {
    onTest({ state }) {
      done += 1;
      if (state === 'failed') failed += 1;
      if (onTerminal) process.stderr.write(`  ${count(done, 'sentence')}, ${failed} failed\r`);
    },
    onFile(file, tests) {
      reportStep(file, { tests });
    },
    onRemark: (text) => console.log(text),
  };
}

/** Shows the failed test and waits for Enter, or for the end of the input. */
async function hold(test: TestResult, hasFastify: boolean): Promise<void> {
  console.log(`\n${describeFailure(1, test, hasFastify)}\n`);
  console.log('Its gateway and services are still running: you can repeat the call.');
  console.log(`${describeHeld(test)}\nPress Enter to end.`);
  process.stdin.resume();
  await Promise.race(['data', 'end'].map((event) => once(process.stdin, event)));
  process.stdin.pause();
}

function tellTime(limitMs: number, failed: number, open: number, overload: string): string {
  const time = `Time is up after ${limitMs / 1_000} s, and ${open} ${open === 1 ? 'sentence is' : 'sentences are'} open.`;
  if (overload) return `${time} ${overload}\nNext: end other programs, then judge again.`;
  return failed === 0
    ? `${time} None has failed.\nNext: allow more time: --limit SECONDS`
    : `${time} If the gateway hangs, each of them waits for its own time limit.\nNext: fix the first failure above, or allow more time: --limit SECONDS`;
}

function tellHang(unreached: number): string {
  return `The failed sentences have waited so long that the others of this step, ${unreached}, were left out. Does the gateway hang?`;
}

function tellNothing({ phase, sentence }: VerifyOptions): string {
  return sentence === undefined
    ? `No sentence was judged.\nNext: npm run verify -- ${phase.number} without --only`
    : `No sentence was judged: none contains "${sentence}".\nNext: npm run verify -- ${phase.number} without --sentence`;
}
