import { join } from 'node:path';
import { readText } from '../../repository/phase-files.ts';
import { root } from '../../repository/phases.ts';
import type { Versions } from './packages.ts';

/** The entry of one package in package-lock.json. */
interface Entry {
  version?: string;
  dependencies?: Versions;
  devDependencies?: Versions;
  optionalDependencies?: Versions;
  peerDependencies?: Versions;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
  [field: string]: unknown;
}

/** package-lock.json, version 3. */
export interface Lockfile {
  name: string;
  version: string;
  lockfileVersion: number;
  requires: boolean;
  /** By folder: '' is the project, 'node_modules/undici' a package. */
  packages: Record<string, Entry>;
}

type Kind = 'dependencies' | 'devDependencies' | 'optionalDependencies' | 'peerDependencies';

const folderName = 'node_modules/';

/** The lockfile of a project, taken from that of the repository: the same versions, but only the packages it needs. */
export function cutLockfile(project: Entry & { name: string; version: string }): Lockfile {
  const { packages, ...rest } = JSON.parse(readText(join(root, 'package-lock.json'))) as Lockfile;
  const all = { ...packages, '': project };
  const needed = reach(all, () => true);
  const lasting = reach(all, (kind) => kind !== 'devDependencies');
  const certain = reach(all, (kind) => kind !== 'optionalDependencies');
  const both = reach(all, (kind) => kind !== 'devDependencies' && kind !== 'optionalDependencies');
  const asked = reach(all, (kind) => kind !== 'peerDependencies');

  const kept = Object.keys(packages)
    .filter((path) => path !== '' && needed.has(path))
    .map((path) => {
      const { dev: _, optional: __, devOptional: ___, peer: ____, ...entry } = packages[path] ?? {};
      const dev = !lasting.has(path);
      const optional = !certain.has(path);
      const flags = {
        dev,
        optional,
        devOptional: !dev && !optional && !both.has(path),
        peer: !asked.has(path),
      };
      const set = Object.entries(flags).filter(([, value]) => value);
      return [path, sortFields({ ...entry, ...Object.fromEntries(set) })];
    });
  const { name, version } = project;
  return { ...rest, name, version, packages: { '': project, ...Object.fromEntries(kept) } };
}

/** The folders of the packages that the project reaches over the kinds of dependency that `follow` accepts. */
function reach(packages: Record<string, Entry>, follow: (kind: Kind) => boolean): Set<string> {
  const found = new Set(['']);
  for (const path of found) {
    const entry = packages[path] ?? {};
    // npm installs the devDependencies of the project, not those of its packages.
    const kinds: Kind[] = ['dependencies', 'optionalDependencies', 'peerDependencies'];
    if (path === '') kinds.push('devDependencies');
    for (const kind of kinds.filter(follow)) {
      for (const name of Object.keys(entry[kind] ?? {})) {
        if (kind === 'peerDependencies' && entry.peerDependenciesMeta?.[name]?.optional) continue;
        if (kind === 'dependencies' && name in (entry.optionalDependencies ?? {})) continue;
        const target = resolve(packages, path, name);
        if (target !== undefined) found.add(target);
      }
    }
  }
  return found;
}

/** The folder in which Node finds a package: in node_modules of `from`, or of a folder above it. */
function resolve(packages: Record<string, Entry>, from: string, name: string): string | undefined {
  for (let path = from; ; path = path.slice(0, Math.max(0, path.lastIndexOf(folderName) - 1))) {
    const candidate = `${path}${path && '/'}${folderName}${name}`;
    if (candidate in packages) return candidate;
    if (path === '') return undefined;
  }
}

/** In the order in which npm writes them, so that `npm install` leaves the file as it is. */
function sortFields(entry: Entry): Entry {
  const isObject = (value: unknown) => typeof value === 'object' && !Array.isArray(value);
  const simple = Object.entries(entry).filter(([, value]) => !isObject(value));
  // Objects come last, in their original order.
  const objects = Object.entries(entry).filter(([, value]) => isObject(value));
  const rank = (name: string) => ['integrity', 'resolved', 'version'].indexOf(name);
  simple.sort(([a], [b]) => rank(b) - rank(a) || (a < b ? -1 : 1));
  return Object.fromEntries([...simple, ...objects]);
}
