import type { TestResult } from '../../process/test-results.ts';
import { formatCounts } from '../../process/vitest.ts';
import { listPhases, type Phase } from '../../repository/phases.ts';
import type { Step } from '../../repository/steps.ts';
import { colour } from '../../terminal/colour.ts';
import { count } from '../../terminal/count.ts';
import { causeOfDeath, describeBreakdown, describeDeath, describeFailure } from './failure-text.ts';
import type { StartAttempt } from './preflight.ts';
import { repeatOption } from './subject.ts';
import type { Verdict } from './verdict.ts';
import type { VerifyOptions } from './verify-options.ts';

// Failures beyond one screen are in a file. The first ones are to be fixed first.
const screenLines = 40;
const leastLines = 20;
// The last lines of a failure say why, and give a hint.
const lastLines = 3;

/** '385 passed, 0 failed', with the tests that were skipped or not reached if there are any. */
export function countTests(tests: TestResult[]): string {
  const countIn = (state: TestResult['state']) => tests.filter((test) => test.state === state).length;
  const unreached = countIn('unreached');
  const counts = formatCounts({
    passed: countIn('passed'),
    failed: countIn('failed'),
    skipped: countIn('skipped'),
  });
  return unreached > 0 ? `${counts}, ${unreached} not reached` : counts;
}

/** 'suite 1, step 4: methods and bodies' */
export function nameStep(step: Step | undefined): string {
  return step ? `suite ${step.suite}, step ${step.number}: ${step.title}` : '';
}

/**
 * The failures of a verdict. The death of a gateway comes first, and what follows from it is only counted. The text ends
 * with the failure that fills the screen, on which `taken` lines are taken; `keep` stores the full text and returns the
 * path of the file.
 */
export function formatFailures(
  verdict: Verdict,
  hasFastify: boolean,
  keep: (text: string) => string,
  taken = 0,
): string {
  const { deaths, consequences, failures } = sortFailures(verdict, hasFastify);
  const room = Math.max(leastLines, screenLines - taken);
  const full = [...deaths.map((test) => (n: number) => describeDeath(n, test)), ...failures].map(
    (describe, i) => describe(i + 1),
  );
  const shown = full.slice(0, fitting(full, room)).map((text) => cut(text, room));
  const left = full.length - shown.length;
  const isCut = shown.some((text, i) => text !== full[i]);
  const more = left > 0 ? `${left} more ${left === 1 ? 'fails' : 'fail'}. All of them in full` : 'In full';
  return [
    ...shown,
    ...(left > 0 || isCut ? [`${more}: ${keep(full.join('\n\n'))}`] : []),
    ...(consequences > 0
      ? [
          `${consequences} more ${consequences === 1 ? 'fails' : 'fail'} only because the gateway had ended. They are not shown.`,
        ]
      : []),
  ].join('\n\n');
}

type Describe = (number: number) => string;

function sortFailures({ tests, breakdowns }: Verdict, hasFastify: boolean) {
  const failed = tests.filter(({ state }) => state === 'failed');
  const after = failed.filter(isAftermath);
  const witnesses = failed.filter(isWitness);
  // A gateway may end behind the last response of a test. The next test then shows its last words.
  const seen = witnesses.length > 0 ? witnesses : after.slice(0, 1);
  const causes = seen.map(causeOfDeath);
  const deaths = seen.filter((_, i) => causes.indexOf(causes[i] ?? '') === i);
  const own = failed.filter((test) => !seen.includes(test) && !after.includes(test));
  const inSuites = breakdowns.filter(({ suite }) => suite > 0);
  const outside = breakdowns.filter(({ suite }) => suite === 0);
  const failures: Describe[] = [
    ...inSuites.map((breakdown) => (n: number) => describeBreakdown(n, breakdown, hasFastify)),
    ...own.map((test) => (n: number) => describeFailure(n, test, hasFastify)),
    // Errors outside the tests follow from the death of a gateway, when there is one.
    ...(deaths.length > 0
      ? []
      : outside.map((breakdown) => (n: number) => describeBreakdown(n, breakdown, hasFastify))),
  ];
  const consequences = [...seen, ...after].filter((test) => !deaths.includes(test)).length;
  return { deaths, consequences, failures };
}

/** How many of the texts fit into this many lines; at least one. */
function fitting(texts: string[], room: number): number {
  let lines = 0;
  const first = texts.findIndex((text) => {
    lines += text.split('\n').length + 1;
    return lines > room;
  });
  return first < 0 ? texts.length : Math.max(1, first);
}

/** Leaves out lines before the last ones of a text that is longer than the room. */
function cut(text: string, room: number): string {
  const lines = text.split('\n');
  if (lines.length <= room) return text;
  const head = lines.slice(0, room - lastLines - 1);
  return [...head, '              …', ...lines.slice(-lastLines)].join('\n');
}

/** True for a failed test during which a gateway died. */
export function isWitness(test: TestResult): boolean {
  return !isAftermath(test) && (test.evidence?.gateways.some(({ died }) => died) ?? false);
}

/** True for a test that could not pass, because the gateway of its file had ended before. */
function isAftermath({ evidence }: TestResult): boolean {
  return evidence?.gateways.some(({ deadBefore }) => deadBefore) ?? false;
}

/** A row per suite. */
export function formatSummary({ tests }: Verdict, suites: number[]): string {
  return suites
    .map((suite) => ({ suite, own: tests.filter((test) => test.suite === suite) }))
    .filter(({ own }) => own.length > 0)
    .map(({ suite, own }) => {
      const isKept = own.every(({ state }) => state === 'passed' || state === 'skipped');
      const mark = isKept ? colour.green('kept') : colour.red('open');
      return `  suite ${suite}  ${mark}  ${countTests(own)}`;
    })
    .join('\n');
}

/** The phase as a title: '3, rate limiting'. */
export function numberedTitle({ number, name }: Phase): string {
  return `${number}, ${name.replace(/^\d+-/, '').replaceAll('-', ' ')}`;
}

/** The text for a gateway that starts only with the config of an earlier phase, the last one tried. */
export function tellLevel(tried: StartAttempt[], phase: Phase): string {
  const accepted = tried.at(-1)?.phase.number;
  const suites = accepted === 1 ? 'Suite 1 runs' : `Suites 1 to ${accepted} run`;
  return (
    `With the config of phase ${phase.number} ${tried[0]?.refusal}\n` +
    `${suites} with the config of phase ${accepted}, which it accepts.\n`
  );
}

/** The text when all judged tests passed, with the next step. */
export function tellSuccess(
  { phase, subject, step }: VerifyOptions,
  { suites, judged, isPart, seconds }: { suites: number[]; judged: number; isPart: boolean; seconds: number },
): string {
  const number = phase.number;
  const phases = suites.length > 2 ? `phases 1 to ${number}` : `phase ${suites.join(' and ')}`;
  const words = isPart
    ? `${count(judged, 'sentence')} judged, ${judged === 1 ? 'kept' : 'all kept'}`
    : `It keeps the contract of ${phases}, ${count(judged, 'sentence')}`;
  return `${colour.green(words)}, in ${seconds} s.\nNext: ${isPart ? `npm run verify -- ${number}${repeatOption(subject)}, for ${step ? 'the next step' : 'all of them'}` : nextStep()}`;

  function nextStep(): string {
    if (subject.kind === 'workspace')
      return `npm run compare -- ${number}, to compare your files with the reference`;
    const next = listPhases().find((other) => other.number > number);
    return next ? `phases/${next.name}/README.md, the phase after it` : 'docs/adding-a-phase.md';
  }
}

/**
 * The text when a test failed, with the next step. `open`: the step at which the judge has stopped. `overload`: what is
 * to be said about a machine with too much other work; '' for any other.
 */
export function tellFailure(
  { phase, subject }: VerifyOptions,
  open: Step | undefined,
  { seconds, overload }: { seconds: number; overload: string },
): string {
  const where = open ? `: ${nameStep(open)} is open` : '';
  const verdict = `${colour.red('Not yet')}${where}, in ${seconds} s.`;
  const command = `npm run verify -- ${phase.number}${repeatOption(subject)}`;
  if (overload) return `${verdict} ${overload}\nNext: end other programs, then judge again: ${command}`;
  const hint = `npm run hint -- ${phase.number}${repeatOption(subject)}`;
  const words = `${verdict}\nNext: fix the first failure. For a hint: ${hint}`;
  if (open?.suite !== phase.number) return words;
  return `${words}\nOnly this step: ${command} --step ${open.number}`;
}
