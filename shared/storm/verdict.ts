import type { Lateness } from '../process/lateness.ts';
import type { Figure, Result } from './definition.ts';

/** `disturbed`: the machine was too busy to judge a figure of time. Empty: the figure is only shown. */
export type StormVerdict = 'pass' | 'MISS' | 'disturbed' | '';

// A timer that is late by this every hundredth time delays answers, too.
const oftenLateMs = 20;

/** Judges one figure. */
export function judgeFigure({ holds, timed }: Figure, lateness: Lateness | null): StormVerdict {
  if (holds === null) return '';
  const was = timed?.meanwhile ?? lateness;
  if (timed && was && (was.p99Ms > oftenLateMs || was.maxMs > timed.onceMs)) return 'disturbed';
  return holds ? 'pass' : 'MISS';
}

/** The verdict on a storm: the worst of its figures. */
export function judgeStorm({ figures, lateness, notRun }: Result): Exclude<StormVerdict, ''> | 'not run' {
  if (notRun !== undefined) return 'not run';
  const verdicts = figures.map((figure) => judgeFigure(figure, lateness));
  if (verdicts.includes('MISS')) return 'MISS';
  return verdicts.includes('disturbed') ? 'disturbed' : 'pass';
}

/**
 * True when the command must exit with 1: a figure was missed. With CI=true also when a storm was not run, because a
 * missing program would hide a fault there.
 */
export function hasFailed(results: Result[], ci: boolean): boolean {
  return results.map(judgeStorm).some((verdict) => verdict === 'MISS' || (ci && verdict === 'not run'));
}
