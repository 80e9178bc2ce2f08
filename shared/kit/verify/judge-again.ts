import { availableParallelism, loadavg } from 'node:os';
import type { TestResult } from '../../process/test-results.ts';
import { count } from '../../terminal/count.ts';
import { judge, type Order } from './judge.ts';
import type { Subject } from './subject.ts';
import type { Verdict } from './verdict.ts';

// With more failures than this, the machine is not the reason.
const mostAgain = 10;
// Above this load per core, a test that waits for a moment may miss it.
const overload = 3;

/**
 * Judges the failed tests again, without the others. One that passes now has failed by chance or by the load of the
 * machine: it counts as passed, and `unsteady` names it.
 */
export async function judgeAgain(
  subject: Subject,
  order: Order,
  verdict: Verdict,
): Promise<{ verdict: Verdict; unsteady: TestResult[] }> {
  const failed = verdict.tests.filter(({ state }) => state === 'failed');
  if (failed.length === 0 || failed.length > mostAgain || verdict.timeIsUp) return { verdict, unsteady: [] };
  const suites = order.suites.filter(({ suite }) => failed.some((test) => test.suite === suite));
  const only = failed.map(({ name }) => name);
  const again = await judge(subject, { ...order, suites, only });
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
    `${count(unsteady.length, 'sentence')} failed, and passed when judged again alone, so it is not counted as open:`,
    ...unsteady.map(({ file, name }) => `  ${file}  ${name}`),
    'Next: if that happens again with the same sentence, look at what your gateway does while it has other work.',
  ].join('\n');
}

/** A warning that the machine has too much other work for a verdict about times; '' when it has not. */
export function tellOverload(): string {
  const [load = 0] = loadavg();
  const cores = availableParallelism();
  if (load / cores < overload) return '';
  return (
    `This machine is overloaded: ${load.toFixed(0)} programs want to run on ${count(cores, 'core')}. Sentences about times may fail for that reason.\n` +
    'Next: end other programs, then judge again.'
  );
}
