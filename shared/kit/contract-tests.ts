import { join } from 'node:path';
import type { TestModule, TestSuite } from 'vitest/node';
import { root } from '../cli/phases.ts';

/** The sentences of one describe block of a suite, or of a file outside any block. */
export interface Group {
  /** File name, such as '3-rate-limiting.test.ts'. */
  file: string;
  /** The names of the blocks around the sentences, joined by ' > '; '' outside any block. */
  name: string;
  /** As they stand in the source: a sentence that is tried with several values is one, with '…' for a value. */
  sentences: string[];
}

/** What the suite of a phase checks, read from its files without running them. */
export async function readSentences(suite: number): Promise<Group[]> {
  // Loaded here: it takes longer than all the rest of a command.
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
      .toSorted((a, b) => (a.moduleId < b.moduleId ? -1 : 1))
      .flatMap((module) => readGroups(module, fileOf(module.moduleId)));
  } finally {
    await vitest.close();
  }
}

function readGroups(block: TestModule | TestSuite, file: string): Group[] {
  const own = [...new Set([...block.children.tests()].map(({ name }) => toSentence(name)))];
  const name = block.type === 'suite' ? toSentence(block.fullName) : '';
  const inner = [...block.children.suites()].flatMap((suite) => readGroups(suite, file));
  return own.length > 0 ? [{ file, name, sentences: own }, ...inner] : inner;
}

function toSentence(name: string): string {
  return name
    .replaceAll(/\\(["'`])/g, '$1')
    .replaceAll(/%[sdifjoO#$p]|\$\{[^}]*\}|\$[\w.]+/g, '…')
    .replaceAll('%%', '%');
}

function fileOf(moduleId: string): string {
  return moduleId.replace(/^.*[/\\]/, '');
}
