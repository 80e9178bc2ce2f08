import { join } from 'node:path';
import type { TestModule, TestSuite } from 'vitest/node';
import { byFile, fileOf } from '../../process/test-results.ts';
import { root } from '../../repository/phases.ts';

/** The tests of one describe block of a suite, or of a file outside any block. */
export interface Group {
  /** '3-rate-limiting/1-a-limit.test.ts' */
  file: string;
  /** The names of the blocks around the tests, joined by ' > '; '' outside any block. */
  name: string;
  /** Their names, as in the source: a test with several values is listed once, with '…' for a value. */
  tests: string[];
}

/** The tests of the suite of a phase, read from its files without running them. */
export async function readContractTests(suite: number): Promise<Group[]> {
  // Imported here: loading vitest takes longer than the rest of a command.
  const { createVitest } = await import('vitest/node');
  const vitest = await createVitest('test', {
    root,
    config: join(root, 'shared', 'contract', 'vitest.config.ts'),
    watch: false,
    reporters: [{}],
  });
  try {
    const files = await vitest.globTestSpecifications();
    const own = files.filter(({ moduleId }) => fileOf(moduleId).startsWith(`${suite}-`));
    const modules = await vitest.experimental_parseSpecifications(own);
    return modules
      .toSorted((a, b) => byFile(fileOf(a.moduleId), fileOf(b.moduleId)))
      .flatMap((module) => readGroups(module, fileOf(module.moduleId)));
  } finally {
    await vitest.close();
  }
}

function readGroups(block: TestModule | TestSuite, file: string): Group[] {
  const own = [...new Set([...block.children.tests()].map(({ name }) => toPlainName(name)))];
  const name = block.type === 'suite' ? toPlainName(block.fullName) : '';
  const inner = [...block.children.suites()].flatMap((suite) => readGroups(suite, file));
  return own.length > 0 ? [{ file, name, tests: own }, ...inner] : inner;
}

function toPlainName(name: string): string {
  return name
    .replaceAll(/\\(["'`])/g, '$1')
    .replaceAll(/%[sdifjoO#$p]|\$\{[^}]*\}|\$[\w.]+/g, '…')
    .replaceAll('%%', '%');
}
