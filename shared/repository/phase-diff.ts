import { structuredPatch } from 'diff';
import { CliError } from '../terminal/cli-error.ts';
import { readPhaseFiles } from './phase-files.ts';

/** The change of one file between two phases. `added` and `removed` count lines, as in a diff. */
export interface FileChange {
  path: string;
  kind: 'new' | 'changed' | 'removed' | 'unchanged';
  added: number;
  removed: number;
  before: string;
  after: string;
}

/** Compares two folders file by file, sorted by path. */
export function comparePhases(before: string, after: string): FileChange[] {
  const old = readPhaseFiles(before);
  const current = readPhaseFiles(after);
  return [...new Set([...old.keys(), ...current.keys()])]
    .sort()
    .map((path) => compareFile(path, old.get(path), current.get(path)));
}

function compareFile(path: string, before: string | undefined, after: string | undefined): FileChange {
  const kind =
    before === undefined
      ? 'new'
      : after === undefined
        ? 'removed'
        : before === after
          ? 'unchanged'
          : 'changed';
  return { path, kind, ...countLines(before ?? '', after ?? ''), before: before ?? '', after: after ?? '' };
}

/** Added and removed lines; a changed line counts in both. */
function countLines(before: string, after: string): { added: number; removed: number } {
  const lines = structuredPatch('', '', before, after, '', '', { context: 0 }).hunks.flatMap(
    (hunk) => hunk.lines,
  );
  const count = (sign: string) => lines.filter((line) => line.startsWith(sign)).length;
  return { added: count('+'), removed: count('-') };
}

/** The changes of these files; all without any. `neither` begins the message about a file that is in neither folder. */
export function pickFiles(changes: FileChange[], files: string[], neither: string): FileChange[] {
  const unknown = files.find((file) => !changes.some(({ path }) => path === file));
  if (unknown === undefined) return changes.filter(({ path }) => files.length === 0 || files.includes(path));
  const known = changes.map(({ path }) => path).join(', ');
  throw new CliError(`${neither} has a file "${unknown}". The files are: ${known}.`);
}

/** Lines added and removed in the TypeScript files that both phases have. test/phases.test.ts limits this number. */
export function inheritedLines(changes: FileChange[]): number {
  return changes
    .filter(({ path, kind }) => kind === 'changed' && path.endsWith('.ts'))
    .reduce((sum, { added, removed }) => sum + added + removed, 0);
}
