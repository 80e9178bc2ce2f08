import { existsSync } from 'node:fs';
import { join } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { findImports, packageOf, withoutComments } from '../../shared/repository/imports.ts';

const parentPaths = /(['"`])(\.\.(?:[/\\].*?)?)\1/g;
const computed = /\bimport\s*\(\s*[^'"`\s)][^)]*\)|\b(?:r|createR)equire\s*\([^)]*\)/g;

/** The imports of a TypeScript source other than its own folder, node:* and the dependencies of package.json. */
export function findForeignImports(folder: string, source: string): string[] {
  const code = withoutComments(source);
  const foreign = [
    ...findImports(source).filter((specifier) => !isAllowed(folder, specifier)),
    ...[...code.matchAll(parentPaths)].map((match) => match[2] ?? ''),
    ...[...code.matchAll(computed)].map((match) => match[0]),
  ];
  return [...new Set(foreign)];
}

function isAllowed(folder: string, specifier: string): boolean {
  if (specifier.startsWith('./')) return existsSync(join(folder, specifier)) && !specifier.includes('..');
  const name = packageOf(specifier);
  return name === undefined ? specifier.startsWith('node:') : name in manifest.dependencies;
}
