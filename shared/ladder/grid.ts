import { type Counts, formatCounts } from '../process/vitest.ts';
import { findTables } from '../repository/markdown.ts';
import type { Pair } from '../repository/pairs.ts';
import { toMarkdown, toText } from '../terminal/table.ts';

/** A pair and the counts of its tests. */
export interface Cell extends Pair {
  counts: Counts;
}

/**
 * How a cell differs from the expected grid, in which phase N passes suites 1 to N only; undefined if it does not. Phase 0
 * may keep any number of sentences.
 */
export function findDifference({ phase, suite, mustPass, counts }: Cell): string | undefined {
  const pair = `phase ${phase.number}, suite ${suite}`;
  const { passed, failed } = counts;
  if (passed + failed === 0) return `${pair}: no test ran. Write a file in shared/contract/${suite}-*.`;
  if (phase.number === 0) return undefined;
  if (mustPass && failed > 0) return `${pair}: must pass, but ${formatCounts(counts)}.`;
  if (!mustPass && failed === 0)
    return `${pair}: must fail, but ${formatCounts(counts)}: the suite tests nothing new.`;
  return undefined;
}

/** The text of a cell: 'ok 61', 'ok 40, 21 skipped', 'fails'; '3 failed' where all must pass, 'none' without tests. */
export function formatCell({ mustPass, counts: { passed, failed, skipped } }: Cell): string {
  if (failed > 0) return mustPass ? `${failed} failed` : 'fails';
  if (passed === 0) return 'none';
  return skipped > 0 ? `ok ${passed}, ${skipped} skipped` : `ok ${passed}`;
}

/** '146 of 575': the sentences that phase 0 keeps, and those that were tested. */
function formatKept({ suite, counts }: Cell, cells: Cell[]): string {
  const whole = cells.find((cell) => cell.suite === suite && cell.mustPass);
  const total = whole ? whole.counts.passed + whole.counts.failed : 0;
  return `${counts.passed} of ${total}`;
}

/** The grid in columns for a terminal: phases down, suites across. */
export function formatGrid(cells: Cell[]): string {
  return toText(toTable(cells), Infinity);
}

/** The grid as a Markdown table. It is the same on every machine: a sentence that this one had to skip counts as kept. */
export function formatMarkdown(cells: Cell[]): string {
  return toMarkdown(toTable(cells.map(withoutSkips)), Infinity);
}

function withoutSkips(cell: Cell): Cell {
  const { passed, failed, skipped } = cell.counts;
  return cell.mustPass && failed === 0
    ? { ...cell, counts: { passed: passed + skipped, failed, skipped: 0 } }
    : cell;
}

/** The table that `formatMarkdown` has written into a text; empty when there is none. */
export function readMarkdown(text: string): string[][] {
  return findTables(text).find(([head]) => head?.[0] === 'phase' && head[1] === 'suite 1') ?? [];
}

/** The number of sentences that phase 0 keeps, as the table that `formatMarkdown` has written says; NaN without one. */
export function readKept(text: string): number {
  const row = readMarkdown(text).find(([name]) => name?.startsWith('0-'));
  return Number.parseInt(row?.[1] ?? '', 10);
}

function toTable(cells: Cell[]): string[][] {
  const suites = [...new Set(cells.map(({ suite }) => `suite ${suite}`))];
  const phases = [...new Set(cells.map(({ phase }) => phase.name))];
  // A pair that was not run has an empty cell.
  const cellOf = (name: string, suite: string) =>
    cells
      .filter((cell) => cell.phase.name === name && `suite ${cell.suite}` === suite)
      .map((cell) => (cell.phase.number === 0 ? formatKept(cell, cells) : formatCell(cell)))[0] ?? '';
  return [
    ['phase', ...suites],
    ...phases.map((name) => [name, ...suites.map((suite) => cellOf(name, suite))]),
  ];
}
