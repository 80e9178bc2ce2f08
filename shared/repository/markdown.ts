import { dirname, join, relative, sep } from 'node:path';
import { readText } from './phase-files.ts';
import { type Phase, root } from './phases.ts';

/** A Markdown file of the repository. */
export interface Page {
  /** Path from the root, with `/`. */
  path: string;
  text: string;
}

/** Reads a Markdown file by its path from the root. */
export function readPage(path: string): Page {
  return { path, text: readText(join(root, path)) };
}

/** 'rate limiting' for the phase '3-rate-limiting'. */
export function titleOf({ name }: Phase): string {
  return name.replace(/^\d+-/, '').replaceAll('-', ' ');
}

/** The sections of the second level, in order. */
export function findSections(page: Page): Array<{ title: string; text: string }> {
  const titles = findHeadings(page.text.split('\n')).filter(({ level }) => level === 2);
  return titles.map(({ title }) => ({ title, text: findSection(page, (other) => other === title) }));
}

/** The text below the first heading that matches, up to the next heading of its level or above; '' if there is none. */
export function findSection({ text }: Page, isIt: (heading: string) => boolean): string {
  const lines = text.split('\n');
  const headings = findHeadings(lines);
  const found = headings.find(({ title }) => isIt(title));
  if (!found) return '';
  const next = headings.find(({ line, level }) => line > found.line && level <= found.level);
  return lines
    .slice(found.line + 1, next?.line)
    .join('\n')
    .trim();
}

/** The first paragraph below the title of a page. */
export function findLead({ text }: Page): string {
  return /^# .*\n\s*\n((?:(?!#|```).+\n?)+)/m.exec(text)?.[1]?.trim() ?? '';
}

/** The tables in a text, with only the rows that `keep` accepts. A table without such rows is left out. */
export function pickRows(text: string, keep: (cells: string[]) => boolean): string {
  const tables = text.match(/(?:^\|.*\n?)+/gm) ?? [];
  return tables
    .flatMap((table) => {
      const [head = '', line = '', ...rows] = table.trimEnd().split('\n');
      const kept = rows.filter((row) => keep(splitRow(row)));
      return kept.length > 0 ? [[head, line, ...kept].join('\n')] : [];
    })
    .join('\n\n');
}

/** Rewrites the relative links in a text of a page for another folder of the repository. */
export function relink(text: string, { path }: Page, folder: string): string {
  return text.replaceAll(/\]\((?![a-z]+:)([^)\s#]*)(#[^)\s]*)?\)/g, (_, target: string, anchor = '') => {
    const file = target === '' ? path : join(dirname(path), target);
    return `](${relative(folder, file).split(sep).join('/')}${anchor})`;
  });
}

function splitRow(row: string): string[] {
  return row
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

function findHeadings(lines: string[]): Array<{ line: number; level: number; title: string }> {
  let fenced = false;
  return lines.flatMap((text, line) => {
    if (text.startsWith('```')) fenced = !fenced;
    const [, signs, title] = (!fenced && /^(#+) +(.*?) *$/.exec(text)) || [];
    return signs === undefined || title === undefined ? [] : [{ line, level: signs.length, title }];
  });
}
