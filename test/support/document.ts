import escapeStringRegexp from 'escape-string-regexp';
import GithubSlugger from 'github-slugger';
import { toString as wordsOf } from 'mdast-util-to-string';
import { visit } from 'unist-util-visit';
import { findRelativeLinks, parseMarkdown } from '../../shared/repository/markdown.ts';

/** The code in a Markdown text: spans in backticks, and the lines of blocks. */
export function findCode(markdown: string): { spans: string[]; lines: string[]; json: string[] } {
  const spans: string[] = [];
  const lines: string[] = [];
  const json: string[] = [];
  visit(parseMarkdown(markdown), (node) => {
    if (node.type === 'inlineCode') spans.push(node.value);
    if (node.type === 'code') lines.push(...node.value.split('\n'));
    if (node.type === 'code' && node.lang === 'json') json.push(node.value);
  });
  return { spans, lines, json };
}

/** The scripts that a text calls: 'diff' of `npm run diff -- 2 3`, 'test' of `npm test`. */
export function findScripts(markdown: string): string[] {
  const run = [...markdown.matchAll(/\bnpm run(?: -\S+)* ([\w:.-]*\w)/g)].map((match) => match[1] ?? '');
  const short = [...markdown.matchAll(/\bnpm (start|test)\b/g)].map((match) => match[1] ?? '');
  return [...run, ...short];
}

/** The targets of relative links, with their anchors. */
export function findLinks(markdown: string): string[] {
  return findRelativeLinks(markdown).map(({ url }) => url);
}

/** The anchors that GitHub makes from the headings of a Markdown text. */
export function findAnchors(markdown: string): string[] {
  const slugger = new GithubSlugger();
  const anchors: string[] = [];
  visit(parseMarkdown(markdown), 'heading', (heading) => {
    anchors.push(slugger.slug(wordsOf(heading)));
  });
  return anchors;
}

const ending = /\.(?:ts|lua|json|md|ya?ml)$/;
// Files whose names begin with `my`, and files that the kit makes, belong to the reader.
const readersOwn = /(?:^|\/)my|^workspace(?:-saves)?\/|^(?:TASK|PHASE)\.md$/;
const ourFolders = /^(?:phases|shared|docs|test|\.ci|\.github)\//;

/** The names in code that look like files or folders of the repository, without those of the reader. */
export function findFileNames(code: string[]): string[] {
  return code
    .flatMap((text) => text.split(/[\s=|"'(),;]+/))
    .map((word) =>
      word
        .replace(/^\.\//, '')
        .replace(/[:.]+$/, '')
        .replace(/\/$/, ''),
    )
    .filter((word) => /^[\w.*/-]+$/.test(word) && !word.includes('..') && !readersOwn.test(word))
    .filter((word) => ending.test(word) || ourFolders.test(word));
}

const wildcards: Record<string, string> = { '*': '[^/]*', 'N-name': '\\d+-[\\w-]+', N: '\\d+' };

/** Whether a name stands for a path, or for the end of one. `N-name` is any phase, `N` any number, `*` any letters. */
export function namesPath(name: string, path: string): boolean {
  const parts = name.split(/(\*|N-name|\bN\b)/);
  const pattern = parts.map((part) => wildcards[part] ?? escapeStringRegexp(part)).join('');
  return new RegExp(`^(?:.*/)?${pattern}$`).test(path);
}
