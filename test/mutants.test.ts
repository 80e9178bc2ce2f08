import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findProblem, formatKillTable } from '../shared/mutants/kill-table.ts';
import { listMutants, type Mutant, parseMutant, plant } from '../shared/mutants/mutant.ts';
import { makeMutantsFolder } from '../shared/mutants/mutants-folder.ts';
import { judgeMutant, type SentenceResult } from '../shared/mutants/verdict.ts';
import { readPhaseFiles } from '../shared/repository/phase-files.ts';
import { listPhases, type Phase, root } from '../shared/repository/phases.ts';
import { checkTypes } from '../shared/repository/type-check.ts';
import { makeSandbox } from './support/sandbox.ts';

const phases = listPhases();
const mutants = phases.flatMap(listMutants);
const folder = makeMutantsFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(phases)('$name has at least 8 mutants', (phase) => {
  expect(listMutants(phase).length).toBeGreaterThanOrEqual(8);
});

describe.each(mutants)('the mutant $phase.name/$name', (mutant) => {
  test('has a name and a story of one sentence', () => {
    expect(mutant.name).toMatch(/^[a-z\d]+(-[a-z\d]+)*$/);
    expect(mutant.story).toMatch(/^[A-Z].*\.$/);
    expect(mutant.story.length).toBeLessThan(120);
  });

  test('names sentences of the suites that its phase must pass', () => {
    expect(mutant.fails.length).toBeGreaterThan(0);
    for (const { file } of [...mutant.fails, ...mutant.may]) {
      expect(existsSync(join(root, 'shared', 'contract', `${file}.test.ts`)), file).toBe(true);
      expect(Number.parseInt(file, 10)).toBeLessThanOrEqual(mutant.phase.number);
    }
  });

  test('changes code, and fits its phase', () => {
    const clean = readPhaseFiles(mutant.phase.folder);
    clean.delete('README.md');
    const planted = plant(mutant);
    expect([...planted.keys()]).toEqual([...clean.keys()]);
    expect([...planted].filter(([path, text]) => clean.get(path) !== text)).not.toEqual([]);
  });
});

describe('the compiler', () => {
  // One program for all, because a program for each mutant takes a minute. In one program, two copies of a phase must not
  // declare the same field of a package's type, so these fields get a number in each copy.
  const declared = /\b(exchange|fixedWindow)\b(?!\.ts')/g;

  function check(some: Mutant[]): Promise<string> {
    const program = mkdtempSync(join(folder, 'program-'));
    for (const [number, mutant] of some.entries()) {
      const copy = join(program, mutant.phase.name, mutant.name);
      mkdirSync(copy, { recursive: true });
      for (const [path, text] of plant(mutant)) {
        if (path.endsWith('.ts')) writeFileSync(join(copy, path), text.replaceAll(declared, `$1${number}`));
      }
    }
    const config = { extends: join(phases[0]?.folder ?? '', 'tsconfig.json'), include: ['.'] };
    writeFileSync(join(program, 'tsconfig.json'), JSON.stringify(config));
    return checkTypes(program);
  }

  // Otherwise the contract would not be needed for this mistake.
  test('accepts every mutant', { timeout: 180_000 }, async () => {
    expect(await check(mutants)).toBe('');
  });

  test('refuses one with a wrong type', async () => {
    const [first] = mutants;
    const file = [
      "import type { FastifyRequest } from 'fastify';",
      'export const a: FastifyRequest[] = [1];',
    ];
    const added = `--- a.ts\n+++ a.ts\n@@ -0,0 +1,2 @@\n${file.map((line) => `+${line}\n`).join('')}`;
    const report = await check(first ? [first, parseMutant(first.phase, 'wrong', added)] : []);
    expect(report).toMatch(/^\S+\/wrong\/a\.ts\(2,\d+\): error TS2322: .*\n$/);
  });
});

describe('a patch', () => {
  const phase = { number: 1, name: '1-first', folder: join(folder, 'a-phase') };
  mkdirSync(phase.folder);
  writeFileSync(join(phase.folder, 'a.ts'), 'one;\ntwo;\n');
  writeFileSync(join(phase.folder, 'README.md'), '# First\n');
  const diff = '--- a.ts\n+++ a.ts\n@@ -1,2 +1,2 @@\n one;\n-two;\n+three;\n';

  test('begins with a story, needs and sentences', () => {
    const text = `story: It breaks: badly.\nneeds: redis\nfails: 1-a/2-b: a > b: c\nmay: 2-c: …\n\n${diff}`;
    expect(parseMutant(phase, 'a-name', text)).toEqual({
      phase,
      name: 'a-name',
      story: 'It breaks: badly.',
      needs: ['redis'],
      fails: [{ file: '1-a/2-b', test: 'a > b: c' }],
      may: [{ file: '2-c', test: '…' }],
      diff,
    });
  });

  test.each(['storey: x', 'needs: luck', 'fails: no file', 'words'])(
    'with the line "%s" is refused',
    (line) => {
      expect(() => parseMutant(phase, 'a-name', `${line}\n${diff}`)).toThrow(
        `shared/mutants/1-first/a-name.patch: cannot read "${line}"`,
      );
    },
  );

  test('is applied to a copy without the README', () => {
    expect([...plant(parseMutant(phase, 'a-name', diff))]).toEqual([['a.ts', 'one;\nthree;\n']]);
  });

  test('that does not fit is named', () => {
    const mutant = parseMutant(phase, 'a-name', diff.replace('-two;', '-2;'));
    expect(() => plant(mutant)).toThrow('shared/mutants/1-first/a-name.patch does not fit 1-first/a.ts.');
  });
});

describe('the verdict', () => {
  const phase: Phase = { number: 3, name: '3-third', folder: '' };
  const mutant: Mutant = {
    phase,
    name: 'a-name',
    story: 'It breaks.',
    needs: [],
    fails: [
      { file: '1-a', test: 'exactly this (one)' },
      { file: '1-a', test: 'a … of values' },
    ],
    may: [{ file: '1-a', test: 'by chance' }],
    diff: '',
  };
  const finding = (
    name: string,
    state: SentenceResult['state'] = 'failed',
    file = '1-a',
  ): SentenceResult => ({
    file,
    test: name,
    state,
    reason: state === 'failed' ? 'the reason' : '',
  });
  const named = [
    finding('exactly this (one)'),
    finding('a number of values'),
    finding('a pair of values', 'passed'),
  ];
  const judged = (findings: SentenceResult[]) => {
    const { outcome, caught, missed, unexpected } = judgeMutant(mutant, findings);
    return {
      outcome,
      caught: caught.map(({ times }) => times),
      missed: missed.map((it) => it.test),
      unexpected: unexpected.map((it) => it.test),
    };
  };

  test('is killed when exactly the named sentences fail', () => {
    const findings = [...named, finding('a lot of values'), finding('another', 'passed')];
    expect(judged(findings)).toEqual({ outcome: 'killed', caught: [1, 2], missed: [], unexpected: [] });
    expect(judged([...named, finding('by chance')])).toMatchObject({ outcome: 'killed', unexpected: [] });
  });

  test('is survived when none fails', () => {
    const findings = named.map((it) => finding(it.test, 'passed'));
    expect(judged(findings)).toMatchObject({ outcome: 'survived', caught: [], unexpected: [] });
  });

  test.each([
    ['one of them does not fail', [named[0]], ['a … of values'], []],
    ['another one fails', [...named, finding('another')], [], ['another']],
    [
      'a sentence of that name in another file fails',
      [...named, finding('a b of values', 'failed', '1-b')],
      [],
      ['a b of values'],
    ],
    [
      'a name only begins like it',
      [...named, finding('exactly this (one) too')],
      [],
      ['exactly this (one) too'],
    ],
    ['a sentence is not there any more', named.slice(1), ['exactly this (one)'], []],
  ])('differs when %s', (_, findings, missed, unexpected) => {
    expect(judged(findings as SentenceResult[])).toMatchObject({ outcome: 'differs', missed, unexpected });
  });

  test('asks only for sentences that can be tried here', () => {
    const skipped = [finding('exactly this (one)', 'skipped'), finding('a lot of values', 'skipped')];
    expect(judged(skipped)).toMatchObject({ outcome: 'skipped', missed: [] });
    expect(judged([...skipped, finding('a pair of values')])).toMatchObject({
      outcome: 'killed',
      caught: [1],
    });
  });

  test('is told in the table, with what caught the mutant', () => {
    expect(
      formatKillTable([judgeMutant(mutant, [...named, finding('a lot of values')])]),
    ).toBe(`3-third: 1 of 1 killed

  killed    a-name
            It breaks.
            1-a: exactly this (one)
            1-a: a … of values (2 times)`);
  });

  test('names the hole in the contract, or the difference, and the next step', () => {
    expect(findProblem(judgeMutant(mutant, named))).toBeUndefined();
    expect(findProblem(judgeMutant(mutant, [finding('another', 'passed')]))).toMatch(
      /^3-third\/a-name survived: .*hole.*\nNext: add a sentence to a file of shared\/contract\/3-third .* It breaks\.$/,
    );
    expect(findProblem(judgeMutant(mutant, [named[1] as SentenceResult, finding('another')]))).toBe(
      `3-third/a-name fails other sentences than its patch names.
  does not fail: 1-a: exactly this (one)
  fails too: 1-a: another
the reason
Next: find out why, then name in shared/mutants/3-third/a-name.patch exactly the sentences that must fail.`,
    );
  });
});

describe('npm run mutants', () => {
  const noProgram =
    "story: It has a typo.\n\n--- server.ts\n+++ server.ts\n@@ -1,2 +1,2 @@\n-import { lookup } from 'node:dns/promises';\n+import lookup } from 'node:dns/promises';\n import { join } from 'node:path';\n";
  const { run: runIn } = makeSandbox({ 'shared/mutants/1-routing/typo.patch': noProgram }, [
    'phases',
    'shared/contract',
    'shared/mutants',
    'shared/upstreams',
  ]);
  const run = (...words: string[]) => runIn('mutants', words);

  test('tries one, and says which sentences caught it', async () => {
    const { code, stdout, stderr } = await run('2', 'key-in-query');
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      /\n2-client-identity: 1 of 1 killed\n\n {2}killed +key-in-query\n +A key may .*\n +2-client-identity\/1-who-is-asking: who is asking > /,
    );
    expect(stdout).toMatch(/\nNext: npm run break -- /);
  });

  test('--list tells all of them', async () => {
    const { stdout } = await run('--list');
    for (const { phase, name, story } of mutants)
      expect(stdout).toContain(`${phase.name}/${name}\n  ${story}\n`);
    expect(stdout).toMatch(/\nNext: npm run mutants -- 1 [a-z-]+, .*\n$/);
  });

  test.each([
    [['9'], /no phase "9"/],
    [['2', 'none'], /^2-client-identity has no mutant "none"\. It has: \n {2}access-by-url\n/],
    [['2', 'key-in-query', 'x'], /Did not expect "x"/],
    [
      ['1', 'typo'],
      /^A mutant does not compile\. Fix its patch in shared\/mutants:\n.*\/typo\/server\.ts:1: /,
    ],
    [['--every'], /Unknown option '--every'.*--all/s],
  ])('refuses %j without a stack', async (words, message) => {
    const { code, stderr } = await run(...words);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });
});
