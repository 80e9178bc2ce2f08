import { colour } from '../cli/colour.ts';
import { listPhases, type Phase } from '../cli/phases.ts';
import { formatCounts } from '../cli/run-projects.ts';
import { describeBreakdown, describeFailure } from './failure-text.ts';
import type { Acceptance } from './preflight.ts';
import { quoteCommand } from './subject.ts';
import type { Sentence, Verdict } from './verdict.ts';
import type { VerifyOptions } from './verify-options.ts';

// More than that is a wall of text; what comes first is to be mended first.
const shownInFull = 5;

/** '385 passed, 0 failed', and what was skipped or not reached if anything was. */
export function countSentences(sentences: Sentence[]): string {
  const count = (state: Sentence['state']) => sentences.filter((sentence) => sentence.state === state).length;
  const unreached = count('unreached');
  const counts = formatCounts({
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
  });
  return unreached > 0 ? `${counts}, ${unreached} not reached` : counts;
}

/** The failures of a verdict: the first ones in full, or all of them, and the names of the others. */
export function formatFailures({ sentences, breakdowns }: Verdict, all: boolean): string {
  const failed = sentences.filter(({ state }) => state === 'failed');
  const own = failed.filter((sentence) => !isAftermath(sentence));
  const full = [
    ...breakdowns.map((breakdown, i) => describeBreakdown(i + 1, breakdown)),
    ...own
      .slice(0, all ? undefined : shownInFull)
      .map((sentence, i) => describeFailure(breakdowns.length + i + 1, sentence)),
  ];
  const names = own.slice(full.length - breakdowns.length).map(({ file, name }) => `   ${file}  ${name}`);
  const more =
    names.length > 0 ? [`${names.length} more fail; --all shows them like these:\n${names.join('\n')}`] : [];
  const after = failed.length - own.length;
  const dead =
    after > 0 ? [`${after} more fail because the gateway had died before, as the first of them shows.`] : [];
  return [...full, ...more, ...dead].join('\n\n');
}

/** A sentence that had no chance: the gateway of its file had ended before. */
function isAftermath({ evidence }: Sentence): boolean {
  return evidence?.gateways.some(({ deadBefore }) => deadBefore) ?? false;
}

/** A row per suite, and what they mean together. */
export function formatSummary({ sentences }: Verdict, suites: number[]): string {
  return suites
    .map((suite) => ({ suite, own: sentences.filter((sentence) => sentence.suite === suite) }))
    .filter(({ own }) => own.length > 0)
    .map(({ suite, own }) => {
      const isKept = own.every(({ state }) => state === 'passed' || state === 'skipped');
      const mark = isKept ? colour.green('kept') : colour.red('open');
      return `  suite ${suite}  ${mark}  ${countSentences(own)}`;
    })
    .join('\n');
}

/** The phase as a title: '3, rate limiting'. */
export function titleOf({ number, name }: Phase): string {
  return `${number}, ${name.replace(/^\d+-/, '').replaceAll('-', ' ')}`;
}

/** Says that the gateway starts only with the config of an earlier phase, the last that was tried. */
export function tellLevel(tried: Acceptance[], phase: Phase): string {
  const accepted = tried.at(-1)?.phase.number;
  const suites = accepted === 1 ? 'Suite 1 gets' : `Suites 1 to ${accepted} get`;
  return (
    `With the config of phase ${phase.number} ${tried[0]?.refusal}\n` +
    `${suites} the config of phase ${accepted}, with which it starts.\n`
  );
}

/** What everything that was judged means when all of it is kept, and what comes next. */
export function tellSuccess(
  { phase, subject }: VerifyOptions,
  { suites, judged, isPart, seconds }: { suites: number[]; judged: number; isPart: boolean; seconds: number },
): string {
  const number = phase.number;
  const promises = suites.length > 2 ? `phases 1 to ${number}` : `phase ${suites.join(' and ')}`;
  const words = isPart
    ? `${judged} sentences judged, all kept`
    : `It keeps every promise of ${promises}, ${judged} sentences`;
  return `${colour.green(words)}, in ${seconds} s.\nNext: ${isPart ? `npm run verify -- ${number}, for all of them` : nextStep()}`;

  function nextStep(): string {
    if (subject.isWorkspace) return `npm run compare -- ${number}, to see your files beside the reference`;
    const next = listPhases().find((other) => other.number > number);
    return next ? `phases/${next.name}/README.md, the phase after it` : 'docs/adding-a-phase.md';
  }
}

/** What comes next when something is not kept. */
export function tellFailure({ phase, subject }: VerifyOptions, seconds: number): string {
  const hint = `npm run hint -- ${phase.number}${quoteCommand(subject)}`;
  return `${colour.red('Not yet')}, in ${seconds} s.\nNext: mend the first of them. More about it: ${hint}`;
}
