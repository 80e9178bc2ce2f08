import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { comparePhases, inheritedLines } from '../shared/repository/phase-diff.ts';
import { readPhaseFiles } from '../shared/repository/phase-files.ts';
import { hashPhase, readLock } from '../shared/repository/phase-hash.ts';
import { listPhaseFolders, listPhases } from '../shared/repository/phases.ts';
import { checkTypes } from '../shared/repository/type-check.ts';
import { findForeignImports } from './support/foreign-imports.ts';
import { makeSandbox } from './support/sandbox.ts';

// The lines that a step may change in inherited TypeScript files. A changed line counts twice, as removed and as added.
// A budget is never raised: a step that exceeds it needs a seam in an earlier phase.
const stepBudgets = new Map([
  ['2-client-identity', 12],
  ['3-rate-limiting', 30],
  ['4-circuit-breaking', 12],
  ['5-observability', 50],
  ['6-tracing', 30],
  ['7-redis-cluster', 30],
]);
const defaultBudget = 30;
const maxNewFiles = 4;
// The limiter, the trusted proxies, and Redis with its outages.
const maxNewFilesOf = new Map([['3-rate-limiting', 6]]);
const maxLines = 150;
const required = [
  'README.md',
  'config.ts',
  'forward.ts',
  'gateway.json',
  'gateway.ts',
  'problem.ts',
  'server.ts',
];
const phases = listPhases();

test('the phases are numbered 1, 2, 3 … without a gap', () => {
  expect(phases.length).toBeGreaterThan(0);
  expect(phases.map(({ number }) => number)).toEqual(phases.map((_, index) => index + 1));
});

for (const { number, name, folder } of phases) {
  describe(name, () => {
    const files = readPhaseFiles(folder);
    const sources = [...files].filter(([path]) => path.endsWith('.ts'));

    test('is flat and has the files that every phase has', () => {
      expect([...files.keys()].filter((path) => path.includes('/'))).toEqual([]);
      expect([...files.keys()]).toEqual(expect.arrayContaining(required));
    });

    test.each(sources)(
      '%s imports only its own folder, node:* and the dependencies of package.json',
      (path, text) => {
        expect(findForeignImports(folder, text), path).toEqual([]);
      },
    );

    test.each(sources)(`%s has at most ${maxLines} lines`, (path, text) => {
      expect(text.split('\n').length - 1, path).toBeLessThanOrEqual(maxLines);
    });

    test('is as recorded in phases.lock.json', () => {
      const next = `${name} differs from its record: npm run freeze -- ${number} --why "REASON"`;
      expect(hashPhase(folder), next).toBe(readLock().phases[name]);
    });
  });
}

describe('phase 0', () => {
  const [zero] = listPhaseFolders();
  const files = readPhaseFiles(zero?.folder ?? '');
  const server = files.get('server.ts') ?? '';

  test('is one file of at most 35 lines, with the config of phase 1', () => {
    expect(zero?.number).toBe(0);
    expect([...files.keys()]).toEqual(['README.md', 'gateway.json', 'server.ts', 'tsconfig.json']);
    expect(server.split('\n').length - 1).toBeLessThanOrEqual(35);
    for (const file of ['gateway.json', 'tsconfig.json']) {
      expect(files.get(file)).toBe(readPhaseFiles(phases[0]?.folder ?? '').get(file));
    }
  });

  test('imports only node:* and the dependencies of package.json', () => {
    expect(findForeignImports(zero?.folder ?? '', server)).toEqual([]);
  });

  test('is as recorded in phases.lock.json', () => {
    const next = 'It differs from its record: npm run freeze -- 0 --why "REASON"';
    expect(hashPhase(zero?.folder ?? ''), next).toBe(readLock().phases[zero?.name ?? '']);
  });

  test('is shown in its README in ten ways to break it', () => {
    const titles = files.get('README.md')?.match(/^### \d+\. /gm);
    expect(titles).toEqual(Array.from({ length: 10 }, (_, index) => `### ${index + 1}. `));
  });
});

test('phases.lock.json records these phases and no other', () => {
  expect(Object.keys(readLock().phases)).toEqual(listPhaseFolders().map(({ name }) => name));
});

const steps = phases.slice(1).map((to, index) => ({ from: phases[index] ?? to, to }));

for (const { from, to } of steps) {
  describe(`the step from ${from.name} to ${to.name}`, () => {
    const changes = comparePhases(from.folder, to.folder);
    const lines = inheritedLines(changes);
    const budget = stepBudgets.get(to.name) ?? defaultBudget;

    test(`changes ${lines} lines of inherited TypeScript files, at most ${budget} are allowed`, () => {
      const each = changes
        .filter(({ kind }) => kind === 'changed')
        .map(({ path, added, removed }) => `${path} +${added} -${removed}`);
      expect(lines, each.join(', ')).toBeLessThanOrEqual(budget);
    });

    const most = maxNewFilesOf.get(to.name) ?? maxNewFiles;
    test(`adds at most ${most} files`, () => {
      const added = changes.filter(({ kind }) => kind === 'new').map(({ path }) => path);
      expect(added.length, added.join(', ')).toBeLessThanOrEqual(most);
    });

    test('keeps every inherited file where it was', () => {
      expect(changes.filter(({ kind }) => kind === 'removed').map(({ path }) => path)).toEqual([]);
    });

    test('changes no file that its README does not name', () => {
      const differing = changes.filter(({ kind }) => kind !== 'unchanged').map(({ path }) => path);
      const readme = readPhaseFiles(to.folder).get('README.md') ?? '';
      expect(differing.filter((path) => path !== 'README.md' && !readme.includes(`\`${path}\``))).toEqual([]);
    });
  });
}

describe('the type check of a phase', () => {
  test('refuses a field that only a later phase declares', async () => {
    const line = 'export const idOf = (request: FastifyRequest) => request.exchange.id;';
    const file = `import type { FastifyRequest } from 'fastify';\n${line}\n`;
    const sandbox = makeSandbox({ 'phases/1-routing/id-of.ts': file }, ['phases/1-routing']);
    const report = await checkTypes(join(sandbox.folder, 'phases', '1-routing'));
    expect(report).toContain("Property 'id' does not exist on type 'Exchange'");
  });
});

describe('the check of imports', () => {
  const folder = phases[0]?.folder ?? '';
  test.each([
    `import { a } from '../2-client-identity/identify.ts';`,
    `import '../../shared/cli/phases.ts';`,
    `export * from "./no-such-file.ts";`,
    `const a = await import('../x.ts');`,
    `const a = await import(name);`,
    `import type { A } from 'vitest';`,
    `import fs from 'fs';`,
    `import {\n  a,\n} from 'lodash';`,
    `const a = require('undici');`,
    `const lua = new URL('../fixed-window.lua', import.meta.url);`,
    `const lua = join(import.meta.dirname, '..', 'fixed-window.lua');`,
  ])('refuses %s', (line) => {
    expect(findForeignImports(folder, line)).toHaveLength(1);
  });

  test.each([
    `import { serve } from './gateway.ts';`,
    `import type { Socket } from 'node:net';`,
    `import Fastify from 'fastify';`,
    `import { request } from 'undici/types/pool';`,
    `const lua = new URL('./gateway.json', import.meta.url);`,
    `// from '../somewhere': a comment is no import, nor is 'import' in a sentence`,
  ])('accepts %s', (line) => {
    expect(findForeignImports(folder, line)).toEqual([]);
  });
});
