import escapeStringRegexp from 'escape-string-regexp';

const specifiers = /\b(?:from|import)\s*\(?\s*(['"`])(.+?)\1/g;

/** The specifiers that a TypeScript source imports: './route.ts', 'node:http', 'undici/types/pool'. */
export function findImports(source: string): string[] {
  return [...withoutComments(source).matchAll(specifiers)].map((match) => match[2] ?? '');
}

/** Whether a source names a file of its folder in quotes: `'./redis.ts'` in an import, `'fixed-window.lua'` in a path. */
export function namesFile(source: string, file: string): boolean {
  return new RegExp(`['"](?:\\./)?${escapeStringRegexp(file)}['"]`).test(source);
}

/** A source without its comment lines. */
export function withoutComments(source: string): string {
  return source.replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '');
}

/** The package that a specifier belongs to; undefined for files and for modules of Node. */
export function packageOf(specifier: string): string | undefined {
  if (/^(?:\.|node:)/.test(specifier)) return undefined;
  const [scope = '', name = ''] = specifier.split('/');
  return scope.startsWith('@') ? `${scope}/${name}` : scope;
}
