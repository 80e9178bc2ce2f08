import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { HintGroup } from '../kit/hints/hint-group.ts';
import { chooseHints, findHints, findStartHints, readCode } from '../kit/hints/hints.ts';
import { type LastVerdict, lastVerdict } from '../kit/verify/last-verdict.ts';
import {
  findFolder,
  readSubject,
  repeatOption,
  type Subject,
  subjectArguments,
  usesFastify,
} from '../kit/verify/subject.ts';
import { numberedTitle } from '../kit/verify/verdict-text.ts';
import { verifyOnce } from '../kit/verify/verify-once.ts';
import { readPhase } from '../kit/verify/verify-options.ts';
import { writeJournal } from '../repository/journal.ts';
import type { Phase } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { runCommand } from '../terminal/cli-error.ts';
import { colour } from '../terminal/colour.ts';
import { readNumber, refuseWords } from '../terminal/option-values.ts';

const levels = 3;
const limitMs = 240_000;

const usage = `npm run hint -- [PHASE] [options]

Shows a hint for the first sentence that failed in the last npm run verify. Without a verdict it runs the suites first.
  --failure N       the hint for the Nth failure, in the order of npm run verify
  --level N         how much help: 1 what to think of (default), 2 what to do, 3 the lines of the reference
  --cmd "COMMAND"   the gateway that this command starts, as in npm run verify
  --phase           the frozen phase itself, as in npm run verify
  --help            this text`;

await runCommand(async () => {
  const { values, positionals } = readArguments(usage, {
    ...subjectArguments,
    failure: { type: 'string' },
    level: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  const [word, ...extra] = positionals;
  refuseWords(usage, extra);
  const phase = readPhase(word, values);
  const subject = readSubject(values, phase);
  const level = readNumber('level', values.level, 1, [1, levels]);

  const verdict = lastVerdict(subject, phase) ?? (await judgeNow(subject, phase));
  if (!verdict) return;
  const failure = readNumber('failure', values.failure, 1, [1, Math.max(1, verdict.failed.length)]);
  console.log(await describeHints(verdict, subject, phase, failure, level));
  const read = verdict.failed[failure - 1];
  if (!read) return;
  writeJournal(({ hints }) => {
    const name = `${read.suite}: ${read.name}`;
    hints[name] = Math.max(level, hints[name] ?? 0);
  });
});

/** Judges up to the first open step; undefined when nothing fails. */
async function judgeNow(subject: Subject, phase: Phase): Promise<LastVerdict | undefined> {
  console.log('There is no verdict yet: judging up to the first step that is open.\n');
  const order = {
    only: undefined,
    step: undefined,
    sentence: undefined,
    bail: false,
    hold: false,
    all: false,
    watch: false,
    limitMs,
  };
  const { isKept } = await verifyOnce({ subject, phase, ...order });
  console.log('');
  return isKept ? undefined : lastVerdict(subject, phase);
}

async function describeHints(
  verdict: LastVerdict,
  subject: Subject,
  phase: Phase,
  failure: number,
  level: number,
): Promise<string> {
  const again = `npm run verify -- ${phase.number}${repeatOption(subject)}`;
  const failed = verdict.failed[failure - 1];
  if (!failed) return `No sentence failed in the last verdict${ageOf(verdict)}.\nNext: ${again}`;
  const group = failed.broken ? findStartHints(failed.suite) : findHints(failed.suite, failed.name);
  const which = failure === 1 ? 'The first' : `Number ${failure}`;
  const { length } = verdict.failed;
  const count = length === 1 ? 'One sentence' : `${which} of ${length} sentences`;
  const choice = failure === 1 ? '' : ` --failure ${failure}`;
  return [
    `${count} that failed for phase ${numberedTitle(phase)}${ageOf(verdict)}:`,
    `  ${colour.bold(`suite ${failed.suite}, ${failed.name}`)}`,
    ...(failed.broken ? ['  It did not run: the gateway does not start with the config of its suite.'] : []),
    ...((await hasChanged(subject, verdict))
      ? [`  Your files have changed since then. For a new verdict: ${again}`]
      : []),
    '',
    ...(group
      ? hintsOf(group, failed.suite, level, usesFastify(subject))
      : ['There are no hints for this suite yet.', '']),
    group && level < levels
      ? `Next: fix it, or get one more hint: npm run hint -- ${phase.number}${repeatOption(subject)}${choice} --level ${level + 1}`
      : `Next: fix it, then ${again}`,
  ].join('\n');
}

function hintsOf(group: HintGroup, suite: number, level: number, hasFastify: boolean) {
  const { contract, document = 'docs/contract.md', read, code } = group;
  const texts = chooseHints(group, hasFastify)
    .slice(0, level)
    .flatMap((hint, i) => [colour.cyan(`Hint ${i + 1}`), `  ${hint}`, '']);
  return [
    colour.cyan('The contract says'),
    `  ${contract}`,
    `  ${document}; read ${read}`,
    '',
    ...texts,
    ...(level === levels ? [colour.cyan('Hint 3'), ...codeLines(suite, code), ''] : []),
  ];
}

function codeLines(suite: number, code: HintGroup['code']): string[] {
  const { path, first, lines } = readCode(suite, code);
  const width = String(first + lines.length).length;
  return [
    `  The reference: ${path}:${first}`,
    ...lines.map((line, i) => `  ${String(first + i).padStart(width)}  ${line}`.trimEnd()),
  ];
}

/** The age of the verdict in hours; '' when it is less than an hour old. */
function ageOf({ at }: LastVerdict): string {
  const hours = Math.floor((Date.now() - at) / 3_600_000);
  return hours < 1 ? '' : ` (judged ${hours === 1 ? 'an hour' : `${hours} hours`} ago)`;
}

/** True when a file of the gateway is newer than the verdict. The files behind --cmd are not known. */
async function hasChanged(subject: Subject, { at }: LastVerdict): Promise<boolean> {
  if (subject.kind === 'command') return false;
  const folder = findFolder(subject);
  const files = await readdir(folder, { recursive: true });
  // verify writes TASK.md itself, after the verdict.
  return files
    .filter((file) => !/(?:^|[/\\])(?:\.|node_modules|TASK\.md$)/.test(file))
    .some((file) => statSync(join(folder, file)).mtimeMs > at);
}
