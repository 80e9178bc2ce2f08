import { dirname, join, relative, sep } from 'node:path';
import type { Heading, Image, Link, Nodes, Root, RootContent, Table, TableRow } from 'mdast';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { gfmFromMarkdown } from 'mdast-util-gfm';
import { gfm } from 'micromark-extension-gfm';
import { visit } from 'unist-util-visit';
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

/** The syntax tree of a text in GitHub Flavored Markdown. Its nodes have their positions in the text. */
export function parseMarkdown(text: string): Root {
  return fromMarkdown(text, { extensions: [gfm()], mdastExtensions: [gfmFromMarkdown()] });
}

/** What the text has from the begin of the first node to the end of the last one, byte for byte. */
export function sourceOf(text: string, nodes: Nodes[]): string {
  const [first, last] = [nodes[0], nodes.at(-1)];
  return first && last ? text.slice(beginOf(first), endOf(last)) : '';
}

/** The sections of the second level, in order. */
export function findSections({ text }: Page): Array<{ title: string; text: string }> {
  const { children } = parseMarkdown(text);
  return children
    .filter((node) => node.type === 'heading')
    .filter(({ depth }) => depth === 2)
    .map((heading) => ({
      title: sourceOf(text, heading.children),
      text: textBelow(heading, children, text),
    }));
}

/** The text below the first heading that matches, up to the next heading of its level or above; '' if there is none. */
export function findSection({ text }: Page, isIt: (heading: string) => boolean): string {
  const { children } = parseMarkdown(text);
  const headings = children.filter((node) => node.type === 'heading');
  const found = headings.find((heading) => isIt(sourceOf(text, heading.children)));
  return found ? textBelow(found, children, text) : '';
}

/** The first paragraph below the title of a page. */
export function findLead({ text }: Page): string {
  const { children } = parseMarkdown(text);
  const title = children.findIndex((node) => node.type === 'heading' && node.depth === 1);
  const below = title === -1 ? undefined : children[title + 1];
  return below?.type === 'paragraph' ? sourceOf(text, [below]) : '';
}

/** The rows of all tables in a text, with the source of each cell. The first row of a table is its head. */
export function findTables(text: string): string[][][] {
  return tablesOf(text).map(({ children }) => children.map((row) => cellsOf(row, text)));
}

/** The tables in a text, with only the rows that `keep` accepts. A table without such rows is left out. */
export function pickRows(text: string, keep: (cells: string[]) => boolean): string {
  return tablesOf(text)
    .flatMap((table) => {
      const [, ...rows] = table.children;
      const kept = rows.filter((row) => keep(cellsOf(row, text)));
      // The line below the head is no node.
      const head = text.slice(beginOf(table), rows[0] && beginOf(rows[0])).trimEnd();
      return kept.length > 0 ? [[head, ...kept.map((row) => sourceOf(text, [row]))].join('\n')] : [];
    })
    .join('\n\n');
}

/** The links and images of a text that lead to a file of the repository or to an anchor, in order. */
export function findRelativeLinks(text: string): Array<Link | Image> {
  const links: Array<Link | Image> = [];
  visit(parseMarkdown(text), (node) => {
    if ((node.type === 'link' || node.type === 'image') && !/^[a-z]+:/.test(node.url)) links.push(node);
  });
  return links;
}

/** Rewrites the relative links in a text of a page for another folder of the repository. */
export function relink(text: string, { path }: Page, folder: string): string {
  return replaceParts(
    text,
    findRelativeLinks(text).map((link) => {
      const [, target = '', anchor = ''] = /^([^#]*)(.*)$/.exec(link.url) ?? [];
      const file = target === '' ? path : join(dirname(path), target);
      // The destination is the last part of a link: [words](destination).
      const begin = text.lastIndexOf('](', endOf(link)) + 2;
      const replacement = relative(folder, file).split(sep).join('/') + anchor;
      return { begin, end: begin + link.url.length, replacement };
    }),
  );
}

/** The text without its relative links. Their words stay. */
export function unlink(text: string): string {
  return replaceParts(
    text,
    findRelativeLinks(text).map((link) => ({
      begin: beginOf(link),
      end: endOf(link),
      replacement: link.type === 'link' ? sourceOf(text, link.children) : (link.alt ?? ''),
    })),
  );
}

interface Part {
  begin: number;
  end: number;
  replacement: string;
}

function replaceParts(text: string, parts: Part[]): string {
  return parts
    .toSorted((a, b) => b.begin - a.begin)
    .reduce(
      (whole, { begin, end, replacement }) => whole.slice(0, begin) + replacement + whole.slice(end),
      text,
    );
}

function textBelow(heading: Heading, blocks: RootContent[], text: string): string {
  const next = blocks.find(
    (block) => block.type === 'heading' && block.depth <= heading.depth && beginOf(block) > beginOf(heading),
  );
  return text.slice(endOf(heading), next && beginOf(next)).trim();
}

function tablesOf(text: string): Table[] {
  const tables: Table[] = [];
  visit(parseMarkdown(text), 'table', (table) => {
    tables.push(table);
  });
  return tables;
}

const cellsOf = (row: TableRow, text: string) => row.children.map((cell) => sourceOf(text, cell.children));

const beginOf = ({ position }: Nodes) => position?.start.offset ?? 0;

const endOf = ({ position }: Nodes) => position?.end.offset ?? 0;
