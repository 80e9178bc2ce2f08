import { formatPatch, structuredPatch } from 'diff';
import { colour } from '../terminal/colour.ts';
import { toText } from '../terminal/table.ts';
import type { FileChange } from './phase-diff.ts';

/** A line per file, with the word for its kind and the number of lines added and removed. */
export function listChanges(changes: FileChange[], words: Record<FileChange['kind'], string>): string {
  const rows = changes.map(({ path, kind, added, removed }) => {
    const counts = [added && colour.green(`+${added}`), removed && colour.red(`-${removed}`)].filter(Boolean);
    return [words[kind], path, counts.join(' ')];
  });
  return toText(rows, Infinity);
}

/** The unified diff of one file. `before` and `after` are the folder names to print. */
export function formatChange(change: FileChange, before: string, after: string): string {
  const name = (folder: string, absent: FileChange['kind']) =>
    change.kind === absent ? '/dev/null' : `${folder}/${change.path}`;
  const lines = formatPatch(
    structuredPatch(name(before, 'new'), name(after, 'removed'), change.before, change.after, '', '', {
      context: 3,
    }),
    {
      includeIndex: false,
      includeUnderline: false,
      includeFileHeaders: true,
    },
  );
  return lines.trimEnd().split('\n').map(paintLine).join('\n');
}

function paintLine(line: string): string {
  if (line.startsWith('---') || line.startsWith('+++')) return colour.bold(line);
  if (line.startsWith('@@')) return colour.cyan(line);
  if (line.startsWith('+')) return colour.green(line);
  if (line.startsWith('-')) return colour.red(line);
  return line;
}
