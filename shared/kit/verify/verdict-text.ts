import type { TestResult } from '../../process/test-results.ts';
import { formatCounts } from '../../process/vitest.ts';
import { listPhases, type Phase } from '../../repository/phases.ts';
import { colour } from '../../terminal/colour.ts';
import { describeBreakdown, describeFailure } from './failure-text.ts';
import type { StartAttempt } from './preflight.ts';
import { quoteCommand } from './subject.ts';
import type { Verdict } from './verdict.ts';
import type { VerifyOptions } from './verify-options.ts';

// Further failures are listed by name. The first ones are to be fixed first.
const shownInFull = 5;

/** '385 passed, 0 failed', with the tests that were skipped or not reached if there are any. */
export function countTests(tests: TestResult[]): string {
  const count = (state: TestResult['state']) => tests.filter((test) => test.state === state).length;
  const unreached = count('unreached');
  const counts = formatCounts({
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
  });
  return unreached > 0 ? `${counts}, ${unreached} not reached` : counts;
}

/** The failures of a verdict: the first ones in full, or all of them, and the names of the others. */
export function formatFailures({ tests, breakdowns }: Verdict, all: boolean): string {
  const failed = tests.filter(({ state }) => state === 'failed');
  const own = failed.filter((test) => !isAftermath(test));
  const full = [
    ...breakdowns.map((breakdown, i) => describeBreakdown(i + 1, breakdown)),
    ...own
      .slice(0, all ? undefined : shownInFull)
      .map((test, i) => describeFailure(breakdowns.length + i + 1, test)),
  ];
  const names = own.slice(full.length - breakdowns.length).map(({ file, name }) => `   ${file}  ${name}`);
  const more =
    names.length > 0 ? [`${names.length} more fail; --all shows them in full:\n${names.join('\n')}`] : [];
  const after = failed.length - own.length;
  const dead =
    after > 0
      ? [`${after} more fail because the gateway had ended before; the first failure shows how.`]
      : [];
  return [...full, ...more, ...dead].join('\n\n');
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
  { phase, subject }: VerifyOptions,
  { suites, judged, isPart, seconds }: { suites: number[]; judged: number; isPart: boolean; seconds: number },
): string {
  const number = phase.number;
  const phases = suites.length > 2 ? `phases 1 to ${number}` : `phase ${suites.join(' and ')}`;
  const words = isPart
    ? `${judged} sentences judged, all kept`
    : `It keeps the contract of ${phases}, ${judged} sentences`;
  return `${colour.green(words)}, in ${seconds} s.\nNext: ${isPart ? `npm run verify -- ${number}, for all of them` : nextStep()}`;

  function nextStep(): string {
    if (subject.isWorkspace) return `npm run compare -- ${number}, to compare your files with the reference`;
    const next = listPhases().find((other) => other.number > number);
    return next ? `phases/${next.name}/README.md, the phase after it` : 'docs/adding-a-phase.md';
  }
}

/** The text when a test failed, with the next step. */
export function tellFailure({ phase, subject }: VerifyOptions, seconds: number): string {
  const hint = `npm run hint -- ${phase.number}${quoteCommand(subject)}`;
  return `${colour.red('Not yet')}, in ${seconds} s.\nNext: fix the first failure. For a hint: ${hint}`;
}
