import type { TestResult } from '../../process/test-results.ts';
import { count } from '../../terminal/count.ts';
import { judge, type Listener, type Order } from './judge.ts';
import type { Subject } from './subject.ts';
import type { Verdict } from './verdict.ts';
import { isWitness } from './verdict-text.ts';

// With more failures than this, the machine is not the reason.
const mostAgain = 10;

/** A verdict, and the tests that have failed once and passed alone. */
interface Judged {
  verdict: Verdict;
  unsteady: TestResult[];
}

/**
 * Judges, and then judges the failed tests again, without the others. Step by step, it continues behind a step whose
 * failed tests pass the second time.
 */
export async function judgeTwice(subject: Subject, order: Order, listener: Listener): Promise<Judged> {
  const end = performance.now() + order.limitMs;
  const inTime = (rest: Partial<Order>) => ({
    ...order,
    ...rest,
    limitMs: Math.max(1_000, end - performance.now()),
  });
  const verdict: Verdict = { tests: [], breakdowns: [], timeIsUp: false, hangs: false };
  const unsteady: TestResult[] = [];
  let files = order.files;
  while (files.length > 0) {
    const first = await judge(subject, inTime({ files }), listener);
    const second = order.bail
      ? { verdict: first, unsteady: [] }
      : await judgeAgain(subject, inTime({}), first);
    const { tests, breakdowns, timeIsUp, hangs } = second.verdict;
    verdict.tests.push(...tests);
    verdict.breakdowns.push(...breakdowns);
    verdict.timeIsUp = timeIsUp;
    verdict.hangs = hangs;
    unsteady.push(...second.unsteady);
    const judged = new Set(tests.map(({ file }) => file));
    const last = files.findLastIndex((file) => judged.has(file));
    const isOpen = breakdowns.length > 0 || tests.some(({ state }) => state === 'failed');
    if (!order.inSteps || isOpen || timeIsUp || last < 0) break;
    files = files.slice(last + 1);
  }
  return { verdict, unsteady };
}

/**
 * Judges the failed tests again, without the others. One that passes now has failed by chance or by the load of the
 * machine: it counts as passed, and `unsteady` names it.
 */
async function judgeAgain(subject: Subject, order: Order, verdict: Verdict): Promise<Judged> {
  const failed = verdict.tests.filter(({ state }) => state === 'failed');
  // A gateway that has died stays dead for its clients, even if it lives longer the next time.
  const isSure = failed.length > mostAgain || verdict.hangs || failed.some(isWitness);
  if (failed.length === 0 || isSure || verdict.timeIsUp) return { verdict, unsteady: [] };
  const files = order.files.filter((file) => failed.some((test) => test.file === file));
  const only = failed.map(({ name }) => name);
  const again = await judge(subject, { ...order, files, inSteps: false, only });
  const unsteady = failed.filter(({ file, name }) =>
    again.tests.some((test) => test.file === file && test.name === name && test.state === 'passed'),
  );
  const tests = verdict.tests.map((test) =>
    unsteady.includes(test) ? { ...test, state: 'passed' as const, faults: [] } : test,
  );
  return { verdict: { ...verdict, tests }, unsteady };
}

/** The text about tests that failed once and passed alone; '' without any. */
export function tellUnsteady(unsteady: TestResult[]): string {
  if (unsteady.length === 0) return '';
  return [
    `${count(unsteady.length, 'sentence')} failed, and passed when judged again alone. ${unsteady.length === 1 ? 'It does' : 'They do'} not count as open:`,
    ...unsteady.map(({ file, name }) => `  ${file}  ${name}`),
    'Next: if that happens again with the same sentence, look at what your gateway does while it has other work.',
  ].join('\n');
}
