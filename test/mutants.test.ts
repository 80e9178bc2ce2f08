import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readPhaseFiles } from '../shared/cli/phase-files.ts';
import { listPhases, type Phase, root } from '../shared/cli/phases.ts';
import { findProblem, formatKillTable } from '../shared/mutants/kill-table.ts';
import { listMutants, type Mutant, parseMutant, plant, writeMutant } from '../shared/mutants/mutant.ts';
import { makeMutantsFolder } from '../shared/mutants/mutants-folder.ts';
import { type Finding, judge } from '../shared/mutants/verdict.ts';
import { makeSandbox } from './sandbox.ts';

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

// A mistake that the compiler sees needs no contract. One mutant of each phase makes a program: in two copies of a
// phase the declarations of what a request carries would collide.
const crowd = Math.max(...phases.map((phase) => listMutants(phase).length));
test.each(Array.from({ length: crowd }, (_, i) => i))('the compiler accepts mutant %i of each phase', (i) => {
  const program = join(folder, `program-${i}`);
  for (const phase of phases) {
    const mutant = listMutants(phase)[i];
    if (mutant) writeMutant(mutant, join(program, phase.name));
  }
  const config = join(program, 'tsconfig.json');
  writeFileSync(config, JSON.stringify({ extends: '../../../tsconfig.json', include: ['.'] }));
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { stdout } = spawnSync(process.execPath, [compiler, '-p', config], { encoding: 'utf8' });
  expect(stdout).toBe('');
});

describe('a patch', () => {
  const phase = { number: 1, name: '1-first', folder: join(folder, 'a-phase') };
  mkdirSync(phase.folder);
  writeFileSync(join(phase.folder, 'a.ts'), 'one;\ntwo;\n');
  writeFileSync(join(phase.folder, 'README.md'), '# First\n');
  const diff = '--- a.ts\n+++ a.ts\n@@ -1,2 +1,2 @@\n one;\n-two;\n+three;\n';

  test('begins with a story, needs and sentences', () => {
    const text = `story: It breaks: badly.\nneeds: redis\nfails: 1-a-b: a > b: c\nmay: 2-c: …\n\n${diff}`;
    expect(parseMutant(phase, 'a-name', text)).toEqual({
      phase,
      name: 'a-name',
      story: 'It breaks: badly.',
      needs: ['redis'],
      fails: [{ file: '1-a-b', sentence: 'a > b: c' }],
      may: [{ file: '2-c', sentence: '…' }],
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
      { file: '1-a', sentence: 'exactly this (one)' },
      { file: '1-a', sentence: 'a … of values' },
    ],
    may: [{ file: '1-a', sentence: 'by chance' }],
    diff: '',
  };
  const finding = (sentence: string, state: Finding['state'] = 'failed', file = '1-a'): Finding => ({
    file,
    sentence,
    state,
    reason: state === 'failed' ? 'the reason' : '',
  });
  const named = [
    finding('exactly this (one)'),
    finding('a number of values'),
    finding('a pair of values', 'passed'),
  ];
  const judged = (findings: Finding[]) => {
    const { outcome, caught, missed, surplus } = judge(mutant, findings);
    return {
      outcome,
      caught: caught.map(({ times }) => times),
      missed: missed.map(({ sentence }) => sentence),
      surplus: surplus.map(({ sentence }) => sentence),
    };
  };

  test('is killed when exactly the named sentences fail', () => {
    const findings = [...named, finding('a lot of values'), finding('another', 'passed')];
    expect(judged(findings)).toEqual({ outcome: 'killed', caught: [1, 2], missed: [], surplus: [] });
    expect(judged([...named, finding('by chance')])).toMatchObject({ outcome: 'killed', surplus: [] });
  });

  test('is survived when none fails', () => {
    const findings = named.map(({ sentence }) => finding(sentence, 'passed'));
    expect(judged(findings)).toMatchObject({ outcome: 'survived', caught: [], surplus: [] });
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
  ])('differs when %s', (_, findings, missed, surplus) => {
    expect(judged(findings as Finding[])).toMatchObject({ outcome: 'differs', missed, surplus });
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
      formatKillTable([judge(mutant, [...named, finding('a lot of values')])]),
    ).toBe(`3-third: 1 of 1 killed

  killed    a-name
            It breaks.
            1-a: exactly this (one)
            1-a: a … of values (2 times)`);
  });

  test('names the hole in the contract, or the difference, and the next step', () => {
    expect(findProblem(judge(mutant, named))).toBeUndefined();
    expect(findProblem(judge(mutant, [finding('another', 'passed')]))).toMatch(
      /^3-third\/a-name survived: .*hole.*\nNext: write the sentence in shared\/contract\/3-\*\.test\.ts .* It breaks\.$/,
    );
    expect(findProblem(judge(mutant, [named[1] as Finding, finding('another')]))).toBe(
      `3-third/a-name fails other sentences than its patch names.
  does not fail: 1-a: exactly this (one)
  fails too: 1-a: another
the reason
Next: read why, then name in shared/mutants/3-third/a-name.patch exactly what must fail.`,
    );
  });
});

describe('npm run mutants', () => {
  const noProgram = 'story: It has a typo.\n\n--- typo.ts\n+++ typo.ts\n@@ -0,0 +1 @@\n+const = 1;\n';
  const { mutants: runIn } = makeSandbox({ 'shared/mutants/1-routing/typo.patch': noProgram }, [
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
      /\n2-client-identity: 1 of 1 killed\n\n {2}killed +key-in-query\n +A key may .*\n +2-client-identity: who is asking > /,
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
    [['1', 'typo'], /^A mutant is no program\. Mend its patch in shared\/mutants:\n.*\/typo\/typo\.ts\(1,/],
    [['--every'], /Unknown option '--every'.*--all/s],
  ])('refuses %j without a stack', async (words, message) => {
    const { code, stderr } = await run(...words);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });
});
