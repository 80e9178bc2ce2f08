import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findPhase } from '../../repository/phases.ts';
import { routingHints } from './1-routing.ts';
import { clientIdentityHints } from './2-client-identity.ts';
import { rateLimitingHints } from './3-rate-limiting.ts';
import { circuitBreakingHints } from './4-circuit-breaking.ts';
import { observabilityHints } from './5-observability.ts';
import { tracingHints } from './6-tracing.ts';
import { redisClusterHints } from './7-redis-cluster.ts';
import type { CodeHint, HintGroup } from './hint-group.ts';

/** The lines of a code hint. */
export interface CodeLines {
  /** 'phases/3-rate-limiting/rate-limit.ts' */
  path: string;
  /** Number of the first line, from 1. */
  first: number;
  lines: string[];
}

/** By number of the suite. */
export const hintsBySuite: ReadonlyMap<number, HintGroup[]> = new Map([
  [1, routingHints],
  [2, clientIdentityHints],
  [3, rateLimitingHints],
  [4, circuitBreakingHints],
  [5, observabilityHints],
  [6, tracingHints],
  [7, redisClusterHints],
]);

/** The group of a test, whose name has ' > ' between its blocks; undefined without hints. */
export function findHints(suite: number, test: string): HintGroup | undefined {
  const groups = hintsBySuite.get(suite) ?? [];
  return groups.find(({ tests }) => tests.some((part) => test.includes(part)));
}

/** The group to show when a gateway does not start with the config of this suite. */
export function findStartHints(suite: number): HintGroup | undefined {
  return hintsBySuite.get(suite)?.find(({ whenItDoesNotStart }) => whenItDoesNotStart);
}

/** The first two hints, in the wording for a gateway with or without Fastify. */
export function chooseHints(
  { hints, hintsWithoutFastify }: HintGroup,
  hasFastify: boolean,
): [string, string] {
  return hasFastify ? hints : (hintsWithoutFastify ?? hints);
}

/** The lines of a code hint in the phase of the suite, with the comment above them. Throws when there are none. */
export function readCode(suite: number, { file, from, lines = 1 }: CodeHint): CodeLines {
  const phase = findPhase(String(suite));
  const text = readFileSync(join(phase.folder, file), 'utf8').replaceAll('\r\n', '\n').split('\n');
  const start = text.findIndex((line) => line.trimStart().startsWith(from));
  const line = text[start];
  if (line === undefined)
    throw new Error(`phases/${phase.name}/${file} has no line that begins with: ${from}`);

  const indent = /^ */.exec(line)?.[0] ?? '';
  let first = start;
  while (text[first - 1]?.startsWith(`${indent}//`) || /^ *(?:\/\*\*| \*)/.test(text[first - 1] ?? ''))
    first--;
  let last = start + lines - 1;
  // A block ends at the closing bracket with the same indentation.
  if (/[([{]$/.test(line)) {
    last = text.findIndex((below, i) => i > start && new RegExp(`^${indent}[)\\]}]`).test(below));
    // The closing bracket ends a parameter list on several lines. The body follows.
    if (/\{$/.test(text[last] ?? ''))
      last = text.findIndex((below, i) => i > last && below.startsWith(`${indent}}`));
  }
  return { path: `phases/${phase.name}/${file}`, first: first + 1, lines: text.slice(first, last + 1) };
}
