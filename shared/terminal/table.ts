import { stripVTControlCharacters } from 'node:util';

/**
 * The rows as a table for the terminal. The first `words` columns are aligned left, the others right, as numbers are.
 * Colours take no room.
 */
export function toText(rows: string[][], words = 1): string {
  const widthOf = (cell = '') => stripVTControlCharacters(cell).length;
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => widthOf(row[column]))));
  const align = (cell: string, column: number) => {
    const room = ' '.repeat((widths[column] ?? 0) - widthOf(cell));
    return column < words ? cell + room : room + cell;
  };
  return rows.map((row) => `  ${row.map(align).join('  ')}`.trimEnd()).join('\n');
}

/** The rows as a table for Markdown, with its first row as the head. Columns are aligned as by `toText`. */
export function toMarkdown([head = [], ...rows]: string[][], words = 1): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = line(head.map((_, column) => (column < words ? '---' : '---:')));
  return [line(head), rule, ...rows.map(line)].join('\n');
}
