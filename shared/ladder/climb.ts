import { join } from 'node:path';
import { type Counts, type ProjectOutcome, runProjects, sum } from '../process/vitest.ts';
import { listLadderPairs, type Pair } from '../repository/pairs.ts';
import { readText } from '../repository/phase-files.ts';
import { listPhaseFolders, root } from '../repository/phases.ts';
import { type Cell, findDifference, formatMarkdown, readKept } from './grid.ts';

// Whether phase 0 keeps a sentence can depend on timing, and on what crashed before it.
const keptTolerance = 12;

/** The result of running suites against phases. */
export interface Climb {
  cells: Cell[];
  /** One paragraph each; empty when everything is as expected. */
  problems: string[];
  /** The tests of the pairs that must pass, and one check for each pair that must fail. */
  counts: Counts;
}

/** Runs the pairs, and prints a line per finished file. With all pairs of the ladder, it compares the grid in README.md. */
export async function climbLadder(pairs: Pair[], print: (line: string) => void): Promise<Climb> {
  const { cells, outcomes } = await runPairs(pairs, print);
  const expected = new Set(pairs.filter(({ mustPass }) => !mustPass).map(({ project }) => project));
  const judged = [...outcomes].filter(([project]) => !expected.has(project)).map(([, outcome]) => outcome);
  const stale = pairs.length === listLadderPairs(listPhaseFolders()).length ? checkReadme(cells) : [];
  const checks = {
    passed: cells.filter((cell) => !cell.mustPass && !findDifference(cell)).length,
    // The failed tests of a pair that must pass are counted already.
    failed: cells.filter((cell) => cell.counts.failed === 0 && findDifference(cell)).length + stale.length,
    skipped: 0,
  };
  return {
    cells,
    problems: [
      ...judged.flatMap(({ failures }) => failures),
      ...cells.flatMap((cell) => findDifference(cell) ?? []),
      ...stale,
    ],
    counts: sum([...judged.map(({ counts }) => counts), checks]),
  };
}

/** Runs pairs, and prints a line per finished file. */
export async function runPairs(
  pairs: Pair[],
  print: (line: string) => void,
): Promise<{ cells: Cell[]; outcomes: Map<string, ProjectOutcome> }> {
  const namesOf = (some: Pair[]) => some.map(({ project }) => project);
  const zero = namesOf(pairs.filter(({ phase }) => phase.number === 0));
  // Phase 0 has a run of its own: it breaks off connections that a test has left, which is an error outside any test.
  // Most of its tests wait for their time limit, so it runs beside the others.
  const [outcomes, counted] = await Promise.all([
    runProjects(namesOf(pairs.filter(({ phase }) => phase.number > 0)), print),
    zero.length > 0 ? runProjects(zero, print, { maxWorkers: 6 }) : new Map<string, ProjectOutcome>(),
  ]);
  for (const [project, outcome] of counted) if (zero.includes(project)) outcomes.set(project, outcome);
  const cells = pairs.map((pair) => ({ ...pair, counts: outcomes.get(pair.project)?.counts ?? sum([]) }));
  return { cells, outcomes };
}

/** Compares the grid in README.md. After a failure, which is reported already, the counts say nothing. */
function checkReadme(cells: Cell[]): string[] {
  if (cells.some(({ counts, mustPass }) => mustPass && counts.failed > 0)) return [];
  const readme = readText(join(root, 'README.md'));
  const kept = readKept(readme);
  const shown = cells.map((cell) =>
    cell.phase.number === 0 && Math.abs(cell.counts.passed - kept) <= keptTolerance
      ? { ...cell, counts: { ...cell.counts, passed: kept } }
      : cell,
  );
  if (readme.includes(formatMarkdown(shown))) return [];
  return ['README.md has a different grid. Replace it with the output of "npm run ladder -- --markdown".'];
}
