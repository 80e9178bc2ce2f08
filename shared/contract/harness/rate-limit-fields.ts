import { type List, parseList } from 'structured-headers';
import { expect } from 'vitest';
import type { Answer } from './client.ts';

/** What the field RateLimit says. */
export interface Quota {
  policy: string;
  remaining: number;
  /** Seconds until the window ends. */
  seconds: number;
}

/** What the field RateLimit-Policy says. */
export interface Policy {
  policy: string;
  limit: number;
  windowSeconds: number;
}

/** The value of a field that must be present exactly once. */
export function single(answer: Answer, name: string): string {
  const values = answer.rawHeaders.filter(
    (_, i) => i % 2 === 1 && answer.rawHeaders[i - 1]?.toLowerCase() === name,
  );
  expect(values, `${name} in ${answer.rawHeaders.join(', ')}`).toHaveLength(1);
  return values[0] as string;
}

/** Reads the field RateLimit of an answer: its only item, with the parameters `r` and `t`. */
export function quotaOf(answer: Answer): Quota {
  const { item, count } = readItem(answer, 'ratelimit');
  return { policy: item, remaining: count('r'), seconds: count('t') };
}

/** Reads the field RateLimit-Policy of an answer: its only item, with the parameters `q` and `w`. */
export function policyOf(answer: Answer): Policy {
  const { item, count } = readItem(answer, 'ratelimit-policy');
  return { policy: item, limit: count('q'), windowSeconds: count('w') };
}

/** The only member of a List (RFC 9651 3.1), which must be a String. `count` reads a parameter: an integer from 0. */
function readItem(answer: Answer, name: string): { item: string; count(key: string): number } {
  const value = single(answer, name);
  const [[item, parameters] = [], ...others] = parse(name, value);
  expect(typeof item, `${name} has a String: ${value}`).toBe('string');
  expect(others, `${name} has one member: ${value}`).toEqual([]);
  return {
    item: item as string,
    count(key) {
      const number = parameters?.get(key);
      expect(number, `parameter ${key} of ${name}: ${value}`).toSatisfy(isCount);
      return number as number;
    },
  };
}

const isCount = (value: unknown) => Number.isInteger(value) && Number(value) >= 0;

function parse(name: string, value: string): List {
  try {
    return parseList(value);
  } catch (error) {
    throw new Error(`${name} is no List of RFC 9651: ${value}`, { cause: error });
  }
}
