import { createRequire } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { readText } from '../../repository/phase-files.ts';
import { findPhase, root } from '../../repository/phases.ts';

/** A line of code, found by a text that occurs exactly once in its file. A line number would be wrong after an edit. */
export interface CodeMark {
  /** A file in the phase of the drill, or in `package`. */
  readonly file: string;
  /** The npm package, when the code is not part of a phase. */
  readonly package?: string;
  readonly marker: string;
  /** What the line does in this drill. */
  readonly why: string;
}

/** A line that contains a marker, as it is now. */
export interface MarkedLine {
  /** Path from the root of the repository with `/`, and the number of the line. */
  place: string;
  text: string;
}

/** Every line of the file that contains the marker. There must be exactly one. */
export function findMarked(phase: number, mark: CodeMark): MarkedLine[] {
  const folder = mark.package === undefined ? findPhase(String(phase)).folder : folderOf(mark.package);
  const file = join(folder, mark.file);
  const path = relative(root, file).split(sep).join('/');
  return readText(file)
    .split('\n')
    .flatMap((line, index) =>
      line.includes(mark.marker) ? [{ place: `${path}:${index + 1}`, text: line.trim() }] : [],
    );
}

function folderOf(name: string): string {
  const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  return dirname(manifest);
}
