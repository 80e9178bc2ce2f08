import { findTables, readPage } from '../repository/markdown.ts';

/** One field of the config, as docs/config.md describes it. */
export interface FieldRow {
  /** `services.<name>.url`, `routes[].prefix` */
  field: string;
  meaning: string;
  /** Unit and range. */
  range: string;
  /** The first phase that has the field. */
  phase: number;
}

const head = ['field', 'meaning', 'unit, range', 'phase'];

/** The table of fields in docs/config.md. A row about two fields counts as two. */
export function readFieldTable(): FieldRow[] {
  const isIt = ([first = []]: string[][]) => first.join('|') === head.join('|');
  const [, ...rows] = findTables(readPage('docs/config.md').text).find(isIt) ?? [];
  return rows.flatMap(([fields = '', meaning = '', range = '', phase = '']) =>
    plain(fields)
      .split(', ')
      .map((field) => ({ field, meaning: plain(meaning), range: plain(range), phase: Number(phase) })),
  );
}

/** Editors show a description as it is. They would show the marks of Markdown, too. */
const plain = (cell: string) => cell.replaceAll('`', '').replaceAll(/\[([^\]]+)\]\([^)]*\)/g, '$1');
