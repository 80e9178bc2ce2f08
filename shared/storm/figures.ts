import type { Lateness } from '../process/lateness.ts';
import type { Figure } from './definition.ts';

type Timed = Pick<Figure, 'timed'>;

/** For figures that depend on time: see `timed` of a figure. */
export function timed(onceMs: number, meanwhile?: Lateness): Timed {
  return { timed: { onceMs, ...(meanwhile && { meanwhile }) } };
}

/** A figure that must not exceed a limit. NaN, which means that nothing was measured, does not hold. */
export function atMost(name: string, value: number, limit: number, unit: string, time: Timed = {}): Figure {
  const measured = Number.isNaN(value) ? 'nothing' : withUnit(value, unit);
  return { name, must: `≤ ${withUnit(limit, unit)}`, measured, holds: value <= limit, ...time };
}

/** A count of things that went wrong. `of` says out of how many. */
export function none(name: string, count: number, of?: number, time: Timed = {}): Figure {
  const measured = of === undefined ? inDigits(count) : `${inDigits(count)} of ${inDigits(of)}`;
  return { name, must: '0', measured, holds: count === 0, ...time };
}

/** A count that must be complete. */
export function all(name: string, count: number, of: number): Figure {
  return { name, must: inDigits(of), measured: inDigits(count), holds: count === of };
}

/** A figure that must be true. */
export function must(
  name: string,
  condition: string,
  measured: string,
  holds: boolean,
  time: Timed = {},
): Figure {
  return { name, must: condition, measured, holds, ...time };
}

/** A figure that is only shown. */
export function shown(name: string, measured: string): Figure {
  return { name, must: '', measured, holds: null };
}

/** A number with its unit, with as many digits as can be read easily. */
export function withUnit(value: number, unit: string): string {
  return unit === '' ? inDigits(value) : `${inDigits(value)} ${unit}`;
}

function inDigits(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}
