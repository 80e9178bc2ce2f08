import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './phases.ts';

/** A step of a suite: a file of the contract. The steps stand in the order in which one would build the phase. */
export interface Step {
  suite: number;
  /** From 1. */
  number: number;
  /** 'the longest prefix' */
  title: string;
  /** '1-routing/02-the-longest-prefix.test.ts', in shared/contract. */
  file: string;
  /** What the step teaches, in three sentences: the first comment of the file. */
  about: string;
}

const contract = join(root, 'shared', 'contract');

/** The steps of a suite, in their order; empty for a suite without files. */
export function listSteps(suite: number): Step[] {
  if (!existsSync(contract)) return [];
  const folder = readdirSync(contract).find((name) => name.startsWith(`${suite}-`));
  if (folder === undefined) return [];
  return readdirSync(join(contract, folder))
    .filter((name) => name.endsWith('.test.ts'))
    .sort()
    .map((name) => {
      const [, number = '', words = ''] = /^(\d+)-(.+)\.test\.ts$/.exec(name) ?? [];
      const file = `${folder}/${name}`;
      return {
        suite,
        number: Number(number),
        title: words.replaceAll('-', ' ').replace(/\bredis\b/, 'Redis'),
        file,
        about: readAbout(file),
      };
    });
}

function readAbout(file: string): string {
  const [comment = ''] = /^(?:\/\/ .*\r?\n)+/.exec(readFileSync(join(contract, file), 'utf8')) ?? [];
  return comment
    .replaceAll(/^\/\/ /gm, '')
    .trim()
    .replaceAll(/\s+/g, ' ');
}
