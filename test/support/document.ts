/** The code in a Markdown text: spans in backticks, and the lines of fenced blocks. */
export function findCode(markdown: string): { spans: string[]; lines: string[]; json: string[] } {
  const lines: string[] = [];
  const json: string[] = [];
  const prose = markdown.replaceAll(/^( *)```(\w*).*?\n(.*?)^\1```/gms, (_, _indent, language, block) => {
    lines.push(...block.split('\n'));
    if (language === 'json') json.push(block);
    return '';
  });
  const spans = [...prose.matchAll(/(`+)(.+?)\1/gs)].map((match) => match[2]?.trim() ?? '');
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
  return [...markdown.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1] ?? '')
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** The anchors of a Markdown text as code hosts make them from its headings. */
export function findAnchors(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ +(.*?) *$/gm)].map((match) =>
    (match[1] ?? '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

const ending = /\.(?:ts|lua|json|md|ya?ml)$/;
// Files whose names begin with `my`, and files that the kit makes, belong to the reader.
const readersOwn = /(?:^|\/)my|^workspace(?:-saves)?\/|^TASK\.md$/;
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

/** Whether a name stands for a path, or for the end of one. `N-name` is any phase, `N` any number, `*` any letters. */
export function namesPath(name: string, path: string): boolean {
  const pattern = name
    .replaceAll('.', '\\.')
    .replaceAll('*', '[^/]*')
    .replaceAll('N-name', '\\d+-[\\w-]+')
    .replaceAll(/(?<![\w])N(?![\w])/g, '\\d+');
  return new RegExp(`^(?:.*/)?${pattern}$`).test(path);
}
