const specifiers = /\b(?:from|import)\s*\(?\s*(['"`])(.+?)\1/g;

/** The specifiers that a TypeScript source imports: './route.ts', 'node:http', 'undici/types/pool'. */
export function findImports(source: string): string[] {
  return [...withoutComments(source).matchAll(specifiers)].map((match) => match[2] ?? '');
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
