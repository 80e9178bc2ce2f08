import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findImports } from '../shared/repository/imports.ts';
import { readText } from '../shared/repository/phase-files.ts';
import { listPhaseFolders, root } from '../shared/repository/phases.ts';
import { scripts } from '../shared/repository/scripts.ts';
import { findCycle, isAllowed, roomOf } from './support/rooms.ts';

/** Every source file of shared/ and test/, with the files that it imports. */
const imports = new Map(
  ['shared', 'test']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((path) =>
        posix.join(folder, path.replaceAll('\\', '/')),
      ),
    )
    .filter((path) => /\.(?:ts|mjs)$/.test(path) && !path.includes('node_modules'))
    .map((path) => [path, importsOf(path)]),
);

function importsOf(path: string): string[] {
  return findImports(readText(join(root, path)))
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => posix.join(dirname(path), specifier))
    .filter((target) => /\.(?:ts|mjs)$/.test(target) && existsSync(join(root, target)));
}

describe('shared/', () => {
  test('has the sources that this test checks', () => {
    expect(imports.size).toBeGreaterThan(250);
    expect(imports.get('shared/cli/phase.ts')).toContain('shared/run/run-phase.ts');
  });

  test('keeps its rule of imports', () => {
    const edges = [...imports].flatMap(([path, targets]) => targets.map((target) => ({ path, target })));
    expect(edges.filter(({ path, target }) => !isAllowed(path, target))).toEqual([]);
  });

  test('has no cycle of files', () => {
    expect(findCycle(imports)).toEqual([]);
  });

  test('has no cycle of folders', () => {
    expect(findCycle(foldersOf(imports))).toEqual([]);
  });

  test('has every room in its README', () => {
    const readme = readText(join(root, 'shared', 'README.md'));
    const rooms = readdirSync(join(root, 'shared'), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    expect(rooms.filter(({ name }) => !readme.includes(`\`${name}/\``))).toEqual([]);
  });
});

function foldersOf(files: Map<string, string[]>): Map<string, string[]> {
  const folders = new Map<string, string[]>();
  for (const [path, targets] of files) {
    const others = targets.map((target) => dirname(target)).filter((folder) => folder !== dirname(path));
    folders.set(dirname(path), [...(folders.get(dirname(path)) ?? []), ...others]);
  }
  return folders;
}

describe('shared/cli', () => {
  // Programs of node_modules that need no file of their own.
  const tools = ['lint', 'format', 'test:kit'];
  const files = readdirSync(join(root, 'shared', 'cli'));

  test.each(Object.keys(scripts).filter((name) => !tools.includes(name)))(
    'has a file for npm run %s',
    (name) => {
      const file = name.replace(/:\d+$/, '').replace(':', '-');
      expect(scripts[name]).toMatch(
        new RegExp(`^node (?:--import tsx )?shared/cli/${file}\\.(?:ts|mjs)(?: \\d+)?$`),
      );
    },
  );

  test('has nothing else', () => {
    const used = Object.values(scripts).map((script) => /shared\/cli\/(\S+)/.exec(script)?.[1]);
    expect(files.filter((file) => !used.includes(file))).toEqual([]);
  });

  test('runs every phase', () => {
    expect(listPhaseFolders().filter(({ number }) => scripts[`phase:${number}`] === undefined)).toEqual([]);
  });
});

describe('the rule of imports', () => {
  test.each([
    ['shared/cli/diff.ts', 'shared/kit/hints/hints.ts'],
    ['shared/kit/verify/judge.ts', 'shared/kit/hints/hints.ts'],
    ['shared/drills/redis-down.ts', 'shared/process/redis-process.ts'],
    ['shared/contract/harness/client.ts', 'shared/process/until.ts'],
    ['test/phases.test.ts', 'shared/drills/all-drills.ts'],
  ])('allows %s to import %s', (path, target) => {
    expect(isAllowed(path, target)).toBe(true);
  });

  test.each([
    ['shared/drills/redis-down.ts', 'shared/contract/harness/client.ts'],
    ['shared/contract/harness/client.ts', 'shared/repository/phases.ts'],
    ['shared/process/ports.ts', 'shared/run/options.ts'],
    ['shared/run/options.ts', 'shared/cli/phase.ts'],
    ['shared/run/options.ts', 'test/support/sandbox.ts'],
    ['shared/storm/gateway.ts', 'phases/1-routing/route.ts'],
  ])('does not allow %s to import %s', (path, target) => {
    expect(isAllowed(path, target)).toBe(false);
  });

  test('finds a cycle', () => {
    const graph = new Map([
      ['a', ['b']],
      ['b', ['c', 'd']],
      ['c', []],
      ['d', ['b']],
    ]);
    expect(findCycle(graph)).toEqual(['b', 'd', 'b']);
    expect(roomOf('shared/kit/verify/judge.ts')).toBe('kit');
  });
});
