import { namesFile, withoutComments } from './imports.ts';
import type { FileChange } from './phase-diff.ts';

// Read after the stages, although some of these import config.ts.
const ofTheStart = ['server.ts', 'config.ts', 'gateway.json'];

/**
 * Sorts files as a request meets them: gateway.ts, the stages in the order in which it calls them, each with the files
 * that it uses; then server.ts with what only the start needs, the rest, and the README.
 */
export function inReadingOrder(changes: FileChange[]): FileChange[] {
  const order = [
    ...new Set([
      ...filesInUse(
        new Map(changes.filter(({ kind }) => kind !== 'removed').map(({ path, after }) => [path, after])),
      ),
      // Those that are gone.
      ...filesInUse(
        new Map(changes.filter(({ kind }) => kind !== 'new').map(({ path, before }) => [path, before])),
      ),
    ]),
  ];
  const rank = ({ path }: FileChange) => {
    if (path === 'README.md') return order.length + 1;
    return order.includes(path) ? order.indexOf(path) : order.length;
  };
  return changes.toSorted((a, b) => rank(a) - rank(b));
}

function filesInUse(texts: Map<string, string>): Set<string> {
  const ofRequests = follow('gateway.ts', texts, new Set(ofTheStart));
  return new Set([...ofRequests, ...follow('server.ts', texts, new Set(ofRequests)), ...ofTheStart]);
}

/** The file, then the files that it uses, in the order in which it mentions them for the last time. */
function follow(file: string, texts: Map<string, string>, seen: Set<string>): string[] {
  const text = texts.get(file);
  if (text === undefined || seen.has(file)) return [];
  seen.add(file);
  // Types are not called.
  const source = withoutComments(text).replaceAll(/^import type [^;]*;$/gm, '');
  const used = [...texts.keys()]
    .filter((path) => namesFile(source, path))
    .map((path) => ({ path, place: lastMention(source, path) }))
    .sort((a, b) => a.place - b.place);
  return [file, ...used.flatMap(({ path }) => follow(path, texts, seen))];
}

/** The place of the last name that a source imports from a file; without any, that of the name of the file. */
function lastMention(source: string, file: string): number {
  const names = [...source.matchAll(/^import \{([^}]*)\} from '\.\/([^']+)'/gm)]
    .filter(([, , specifier]) => specifier === file)
    .flatMap(([, list = '']) => list.split(','))
    .map((name) => name.trim())
    .filter((name) => /^\w+$/.test(name));
  const places = names.flatMap((name) => [...source.matchAll(new RegExp(`(?<![.])\\b${name}\\b`, 'g'))]);
  return Math.max(source.lastIndexOf(file), ...places.map(({ index }) => index));
}
