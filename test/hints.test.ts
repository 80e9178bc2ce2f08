import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createVitest } from 'vitest/node';
import { chooseHints, findHints, findStartHints, hintsBySuite, readCode } from '../shared/kit/hints/hints.ts';
import { describeFailure } from '../shared/kit/verify/failure-text.ts';
import { type Subject, usesFastify } from '../shared/kit/verify/subject.ts';
import { readText } from '../shared/repository/phase-files.ts';
import { listPhases, root } from '../shared/repository/phases.ts';
import { findAnchors } from './support/document.ts';

const phases = listPhases();
const names = await collectNames();

/** Markdown without line ends, because a sentence may be on two lines. */
const plain = (path: string) => readText(join(root, path)).replaceAll(/\s+/g, ' ');

describe.each(phases)('the hints for suite $number', ({ number }) => {
  const own = names.get(number) ?? [];
  const groups = hintsBySuite.get(number) ?? [];

  test('cover every sentence', () => {
    expect(own.length).toBeGreaterThan(10);
    expect(own.filter((name) => findHints(number, name) === undefined)).toEqual([]);
  });

  test('have no group and no part without a sentence', () => {
    const found = new Set(own.map((name) => findHints(number, name)));
    expect(groups.filter((group) => !found.has(group))).toEqual([]);
    const parts = groups.flatMap(({ tests }) => tests);
    expect(parts.filter((part) => !own.some((name) => name.includes(part)))).toEqual([]);
  });

  test('help in one place when the gateway does not start', () => {
    expect(groups.filter(({ whenItDoesNotStart }) => whenItDoesNotStart)).toHaveLength(1);
    expect(findStartHints(number)?.read).toContain('docs/');
  });

  test('quote the contract word for word', () => {
    const isQuoted = ({ contract, document = 'docs/contract.md' }: (typeof groups)[0]) =>
      plain(document).includes(contract);
    expect(groups.filter((group) => !isQuoted(group)).map(({ contract }) => contract)).toEqual([]);
  });

  test('lead to chapters that exist', () => {
    const leadsNowhere = (read: string) => {
      const [path = '', anchor = ''] = read.split('#');
      return !existsSync(join(root, path)) || !findAnchors(readText(join(root, path))).includes(anchor);
    };
    expect(groups.map(({ read }) => read).filter(leadsNowhere)).toEqual([]);
  });

  test('show lines of the reference that are there, and not too many', () => {
    for (const { code } of groups) {
      const { lines } = readCode(number, code);
      expect(lines.length, `${code.file}: ${code.from}`).toBeLessThanOrEqual(50);
      expect(lines.join('\n')).toContain(code.from);
    }
  });
});

describe('a gateway without Fastify', () => {
  const ofFrameworks = /fastify|framework|hook|parser off/i;
  const groups = [...hintsBySuite.values()].flat();

  test('gets no hint about frameworks, and one with Fastify gets them', () => {
    const about = (hasFastify: boolean) =>
      groups.flatMap((group) => chooseHints(group, hasFastify)).filter((hint) => ofFrameworks.test(hint));
    expect(about(false)).toEqual([]);
    expect(about(true).length).toBeGreaterThan(3);
    expect(groups.every((group) => chooseHints(group, false).every((hint) => hint.length > 20))).toBe(true);
  });

  test('is told by the imports of its folder', () => {
    const subject = (...words: string[]): Subject => ({ words, command: words.join(' '), kind: 'command' });
    expect(usesFastify(subject('node', '--import', 'tsx', 'phases/1-routing/server.ts'))).toBe(true);
    expect(usesFastify(subject('node', 'shared/examples/plain-node-gateway/server.mjs'))).toBe(false);
    expect(usesFastify(subject('gateway-in-another-language'))).toBe(false);
  });

  test('reads its own wording in a failure', () => {
    const name = 'HOST > may be a name';
    const failed = { suite: 1, file: '1-routing/01-x.test.ts', name, state: 'failed', faults: [] } as const;
    const test = { ...failed, faults: [], evidence: undefined };
    expect(describeFailure(1, test, true)).toContain('How many listeners does your framework open');
    expect(describeFailure(1, test, false)).toMatch(/hint +localhost can be .* your server/);
  });
});

test('the lines of the reference are a whole block, with the comment above it', () => {
  const { path, first, lines } = readCode(2, { file: 'identify.ts', from: 'export function identify(' });
  expect(path).toBe('phases/2-client-identity/identify.ts');
  expect(readText(join(root, path)).split('\n')[first - 1]).toBe(lines[0]);
  expect(lines[0]).toBe('/**');
  expect(lines.at(-1)).toBe('}');
  expect(lines.join('\n').match(/^}/gm)).toHaveLength(1);
});

/** The full names of all tests by suite, read from the files. No gateway is started. */
async function collectNames(): Promise<Map<number, string[]>> {
  const vitest = await createVitest('test', {
    root,
    config: false,
    watch: false,
    reporters: [{}],
    projects: phases.map(({ number }) => ({
      test: { name: String(number), include: [`shared/contract/${number}-*/*.test.ts`] },
    })),
  });
  try {
    const { testModules } = await vitest.collect();
    return new Map(
      phases.map(({ number }) => [
        number,
        testModules
          .filter(({ project }) => project.name === String(number))
          .flatMap((module) => [...module.children.allTests()].map(({ fullName }) => fullName)),
      ]),
    );
  } finally {
    await vitest.close();
  }
}
