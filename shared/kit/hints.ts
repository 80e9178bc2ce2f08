import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findPhase } from '../cli/phases.ts';
import { hints as routing } from './hints/1-routing.ts';
import { hints as clientIdentity } from './hints/2-client-identity.ts';
import { hints as rateLimiting } from './hints/3-rate-limiting.ts';
import { hints as circuitBreaking } from './hints/4-circuit-breaking.ts';
import { hints as observability } from './hints/5-observability.ts';

/** Lines of the reference: the one of a file of the phase that begins with this text, and the block it opens. */
export interface CodeHint {
  file: string;
  from: string;
  /** How many lines to show, where there is no block. */
  lines?: number;
}

/** What helps with sentences of a suite that have one cause. */
export interface HintGroup {
  /** Parts of sentences. A sentence belongs to the first group that has a part of it. */
  sentences: string[];
  /** Why: the sentence of the contract, word for word. */
  contract: string;
  /** The document it stands in, when that is not docs/contract.md. */
  document?: string;
  /** The chapter to read, with its anchor. */
  read: string;
  /** What to think of, then what to do. */
  hints: [general: string, concrete: string];
  /** The third hint. */
  code: CodeHint;
  /** True for the one group of a suite that helps when a gateway does not start with its config. */
  whenItDoesNotStart?: true;
}

/** The lines that a code hint stands for. */
export interface CodeLines {
  /** 'phases/3-rate-limiting/rate-limit.ts' */
  path: string;
  /** Number of the first line, from 1. */
  first: number;
  lines: string[];
}

/** By number of the suite. */
export const hintsBySuite: ReadonlyMap<number, HintGroup[]> = new Map([
  [1, routing],
  [2, clientIdentity],
  [3, rateLimiting],
  [4, circuitBreaking],
  [5, observability],
]);

/** The group of a sentence, with ' > ' between its blocks; undefined for a suite without hints. */
export function findHints(suite: number, sentence: string): HintGroup | undefined {
  const groups = hintsBySuite.get(suite) ?? [];
  return groups.find(({ sentences }) => sentences.some((part) => sentence.includes(part)));
}

/** The group that helps when a gateway does not start with the config of this suite. */
export function findStartHints(suite: number): HintGroup | undefined {
  return hintsBySuite.get(suite)?.find(({ whenItDoesNotStart }) => whenItDoesNotStart);
}

/** The lines of a code hint in the phase of the suite, with the comment above them; throws when they are gone. */
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
  // A block ends where a line has its indentation again: with the bracket that closes it.
  if (/[([{]$/.test(line)) {
    last = text.findIndex((below, i) => i > start && new RegExp(`^${indent}[)\\]}]`).test(below));
    // The parameters stood on lines of their own: the body follows.
    if (/\{$/.test(text[last] ?? ''))
      last = text.findIndex((below, i) => i > last && below.startsWith(`${indent}}`));
  }
  return { path: `phases/${phase.name}/${file}`, first: first + 1, lines: text.slice(first, last + 1) };
}
