import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  type Cell,
  findDifference,
  formatCell,
  formatGrid,
  formatMarkdown,
  readKept,
} from '../shared/ladder/grid.ts';
import { formatCounts, sum } from '../shared/process/vitest.ts';
import { listLadderPairs, listPairs } from '../shared/repository/pairs.ts';
import { listPhases } from '../shared/repository/phases.ts';
import { makeSandbox, type Sandbox } from './support/sandbox.ts';

const twelve = Array.from({ length: 12 }, (_, index) => `line ${index + 1};\n`).join('');

const files = {
  'phases/1-first/gateway.ts': twelve,
  'phases/1-first/same.ts': 'same;\n',
  'phases/1-first/README.md': '# First\n',
  'phases/2-second/gateway.ts': twelve.replace('line 6;', 'line six;\nline six and a half;'),
  'phases/2-second/same.ts': 'same;\r\n',
  'phases/2-second/added.ts': 'a;\nb;\n',
  'phases/2-second/README.md': '# Second\n',
  'phases/3-third/gateway.ts': `${twelve.replace('line 6;', 'line six;')}line 13;\n`,
  'phases/3-third/same.ts': 'same;\n',
  'phases/3-third/added.ts': 'a;\nb;\n',
  'phases/3-third/README.md': '# Third\n',
};

describe.concurrent('npm run diff', () => {
  test('summarises the step, shows the code and says what to read next', async ({ expect }) => {
    const { code, stdout } = await makeSandbox(files).run('diff', ['1', '2']);
    expect(code).toBe(0);
    expect(stdout).toBe(`From 1-first to 2-second

  changed  gateway.ts  +2 -1
  new      added.ts    +2
  changed  README.md   +1 -1
  1 file is unchanged.
  3 lines added or removed in inherited TypeScript files.

--- phases/1-first/gateway.ts
+++ phases/2-second/gateway.ts
@@ -3,7 +3,8 @@
 line 3;
 line 4;
 line 5;
-line 6;
+line six;
+line six and a half;
 line 7;
 line 8;
 line 9;

--- /dev/null
+++ phases/2-second/added.ts
@@ -0,0 +1,2 @@
+a;
+b;

README.md differs too: add --all to see it.

Next: read phases/2-second/README.md, then start the phase: npm run phase:2
`);
  });

  test('takes the step into the newest phase, or into the one named', async ({ expect }) => {
    const sandbox = makeSandbox(files);
    expect((await sandbox.run('diff')).stdout).toMatch(/^From 2-second to 3-third\n/);
    expect((await sandbox.run('diff', ['2'])).stdout).toMatch(/^From 1-first to 2-second\n/);
    expect((await sandbox.run('diff', ['2-second'])).stdout).toMatch(/^From 1-first to 2-second\n/);
    expect((await sandbox.run('diff', ['1', '3'])).stdout).toMatch(/^From 1-first to 3-third\n/);
  });

  test('--stat is the summary alone, --name-only the paths alone, --all shows the README too', async ({
    expect,
  }) => {
    const sandbox = makeSandbox(files);
    const stat = (await sandbox.run('diff', ['1', '2', '--stat'])).stdout;
    expect(stat).toContain('changed  gateway.ts  +2 -1');
    expect(stat).not.toContain('@@');
    const names = (await sandbox.run('diff', ['--name-only', '1', '2'])).stdout;
    expect(names).toBe('phases/2-second/gateway.ts\nphases/2-second/added.ts\nphases/2-second/README.md\n');
    expect((await sandbox.run('diff', ['1', '2', '--all'])).stdout).toContain('\n+# Second\n');
  });

  test('shows files that vanish, going backwards', async ({ expect }) => {
    const { stdout } = await makeSandbox(files).run('diff', ['2', '1']);
    expect(stdout).toContain('  removed  added.ts    -2\n');
    expect(stdout).toContain('--- phases/2-second/added.ts\n+++ /dev/null\n');
  });

  test('is coloured with FORCE_COLOR, and not with NO_COLOR or in a pipe', async ({ expect }) => {
    const sandbox = makeSandbox(files);
    const colour = '\u001b[32m+line six;\u001b[0m';
    expect((await sandbox.run('diff', ['1', '2'], { FORCE_COLOR: '1' })).stdout).toContain(colour);
    expect((await sandbox.run('diff', ['1', '2'], { FORCE_COLOR: '0' })).stdout).not.toContain('\u001b');
    expect((await sandbox.run('diff', ['1', '2'], { NO_COLOR: '1' })).stdout).not.toContain('\u001b');
  });

  test('takes file names, also of the README and with the folder', async ({ expect }) => {
    const sandbox = makeSandbox(files);
    const one = (await sandbox.run('diff', ['2', 'added.ts'])).stdout;
    expect(one).toMatch(
      /^From 1-first to 2-second\n\n {2}new {2}added\.ts {2}\+2\n\n--- \/dev\/null\n\+\+\+ phases\/2-second\/added\.ts\n@@.*\n\+a;\n\+b;\n\nNext: /,
    );
    const two = (await sandbox.run('diff', ['1', '2', 'README.md', 'phases/2-second/gateway.ts'])).stdout;
    expect(two.match(/^\+\+\+ .*/gm)).toEqual([
      '+++ phases/2-second/gateway.ts',
      '+++ phases/2-second/README.md',
    ]);
    const same = (await sandbox.run('diff', ['1', '2', 'same.ts'])).stdout;
    expect(same).toBe('1-first and 2-second have the same same.ts.\n');
  });

  test('orders files as a request meets them', async ({ expect }) => {
    const sandbox = makeSandbox({
      'phases/1-first/README.md': '# First\n',
      'phases/2-second/README.md': '# Second\n',
      'phases/2-second/admit.ts': "import './count.ts';\n",
      'phases/2-second/config.ts': '',
      'phases/2-second/count.ts': "readFile('count.lua');\n",
      'phases/2-second/count.lua': 'return 1\n',
      'phases/2-second/forward.ts': '',
      'phases/2-second/gateway.json': '{}\n',
      'phases/2-second/gateway.ts': `import { admit } from './admit.ts';
import type { Config } from './config.ts';
import { forward } from './forward.ts';
import type { Store } from './store.ts';
import { open, route } from './where.ts';
open();
// admit() comes after route().
stage(route);
stage(admit);
stage(forward);
`,
      'phases/2-second/notes.txt': 'a note\n',
      'phases/2-second/server.ts': "import { store } from './store.ts';\nstore();\n",
      'phases/2-second/store.ts': '',
      'phases/2-second/where.ts': '',
    });
    const { stdout } = await sandbox.run('diff', ['1', '2', '--name-only']);
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((path) => path.replace('phases/2-second/', '')),
    ).toEqual(
      'gateway.ts where.ts admit.ts count.ts count.lua forward.ts server.ts store.ts config.ts gateway.json notes.txt README.md'.split(
        ' ',
      ),
    );
  });

  test('on a terminal, pages through PAGER; in a pipe, never', async ({ expect }) => {
    const sandbox = makeSandbox({ ...files, 'terminal.mjs': 'process.stdout.isTTY = true;\n' });
    const terminal = { NODE_OPTIONS: `--import=${pathToFileURL(join(sandbox.folder, 'terminal.mjs')).href}` };
    sandbox.write('pager.mjs', "process.stdin.on('data', (text) => console.log('paged: ' + text));\n");
    const pager = { PAGER: 'node pager.mjs --quiet' };
    const plain = (await sandbox.run('diff', ['1', '2'], { NO_COLOR: '1' })).stdout;
    const run = async (env: Record<string, string>) =>
      (await sandbox.run('diff', ['1', '2'], { NO_COLOR: '1', ...env })).stdout;
    expect(await run(pager)).toBe(plain);
    expect(await run({ ...pager, ...terminal })).toBe(`paged: ${plain}\n`);
    expect(await run({ PAGER: '', ...terminal })).toBe(plain);
    expect(await run({ PAGER: 'no-such-pager', ...terminal })).toBe(plain);
  });

  test.for([
    { words: ['1', '2', 'x.ts'], message: 'Neither 1-first nor 2-second has a file "x.ts". The files are: ' },
    {
      words: ['9'],
      message: 'There is no phase "9". The phases are: 1 (1-first), 2 (2-second), 3 (3-third).',
    },
    { words: ['1'], message: '1-first is the first phase: nothing comes before it.' },
    { words: ['1', '2', '3'], message: 'Two phases at most, not 3.' },
    { words: ['--color'], message: "Unknown option '--color'.\n\nnpm run diff -- [FROM] [TO] [FILE" },
  ])('refuses $words without a stack', async ({ words, message }, { expect }) => {
    const { code, stdout, stderr } = await makeSandbox(files).run('diff', words);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });
});

describe.concurrent('phase 0', () => {
  const withZero = {
    ...files,
    'phases/0-plugin/gateway.ts': twelve,
    'phases/0-plugin/README.md': '# Zero\n',
  };

  test('can be compared, but is no step before phase 1', async ({ expect }) => {
    const sandbox = makeSandbox(withZero);
    const { stdout } = await sandbox.run('diff', ['0', '1']);
    expect(stdout).toMatch(/^From 0-plugin to 1-first\n/);
    expect(stdout).toContain('Phase 0 is not the parent of phase 1');
    expect((await sandbox.run('diff', ['2'])).stdout).not.toContain('Phase 0');
    expect((await sandbox.run('diff', ['1'])).stderr).toContain('1-first is the first phase');
  });

  test.for([
    ['learn', '0'],
    ['propagate', '0', 'gateway.ts'],
    ['test-phase', '0'],
  ])('has nothing for %s', async ([command = '', ...words], { expect }) => {
    const { code, stderr } = await makeSandbox(withZero).run(command, words);
    expect(code).toBe(1);
    expect(stderr).toContain('Phase 0 is the plugin as it comes');
    expect(stderr).toContain('npm run phase:0');
  });
});

describe.concurrent('npm run freeze', () => {
  const lockPath = 'phases/phases.lock.json';
  const errataPath = 'phases/ERRATA.md';

  test('records a phase first without a reason, and later with one', async ({ expect }) => {
    const sandbox = makeSandbox(files);
    expect((await sandbox.run('freeze', ['2'])).code).toBe(0);
    expect((await sandbox.run('freeze', ['1-first'])).code).toBe(0);
    const first = JSON.parse(sandbox.read(lockPath));
    expect(Object.keys(first)).toEqual(['1-first', '2-second', 'tags']);
    expect(first['1-first']).toMatch(/^[\da-f]{64}$/);
    const errata = sandbox.read(errataPath);
    expect(errata).toMatch(/^# Errata\n/);
    expect(errata).not.toMatch(/^(?:-|##)/m);

    sandbox.write('phases/1-first/same.ts', 'other;\n');
    const refused = await sandbox.run('freeze', ['1']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toBe(
      '1-first is frozen: say why it changes. npm run freeze -- 1 --why "REASON"\n',
    );
    expect((await sandbox.run('freeze', ['1', '--why', ' '])).code).toBe(1);
    expect(JSON.parse(sandbox.read(lockPath))).toEqual(first);

    expect((await sandbox.run('freeze', ['1', '--why', 'The word\n was wrong.'])).code).toBe(0);
    const second = JSON.parse(sandbox.read(lockPath));
    expect(second['1-first']).not.toBe(first['1-first']);
    expect(second['2-second']).toBe(first['2-second']);
    expect(sandbox.read(errataPath).slice(errata.length)).toMatch(
      /^\n## \d{4}-\d\d-\d\d\n\n- 1: The word was wrong\.\n$/,
    );
  });

  test('adds a phase to the entry of the same day and reason, and leaves the other entries alone', async ({
    expect,
  }) => {
    const sandbox = makeSandbox(files);
    const older = '\n## 2020-01-01\n\n- 1, 3: A fix.\n';
    for (const phase of ['1', '2', '3']) await sandbox.run('freeze', [phase]);
    sandbox.write(errataPath, `${sandbox.read(errataPath)}${older}`);
    const changes = [
      { phase: '3-third', why: 'A fix.' },
      { phase: '1-first', why: 'A fix.' },
      { phase: '2-second', why: 'Another fix.' },
      { phase: '2-second', why: 'A fix.' },
    ];
    const listed: string[] = [];
    for (const [i, { phase, why }] of changes.entries()) {
      sandbox.write(`phases/${phase}/same.ts`, `change ${i};\n`);
      expect((await sandbox.run('freeze', [phase, '--why', why])).code).toBe(0);
      listed.push(sandbox.read(errataPath).split(/\n## \d{4}-\d\d-\d\d\n\n/)[2] ?? '');
    }
    expect(listed).toEqual([
      '- 3: A fix.\n',
      '- 1, 3: A fix.\n',
      '- 1, 3: A fix.\n- 2: Another fix.\n',
      '- 1–3: A fix.\n- 2: Another fix.\n',
    ]);
    expect(sandbox.read(errataPath)).toContain(older);
  });

  test('refuses a list that it could not write again, and writes nothing', async ({ expect }) => {
    const sandbox = makeSandbox(files);
    await sandbox.run('freeze', ['1']);
    const before = sandbox.read(lockPath);
    sandbox.write(errataPath, `${sandbox.read(errataPath)}\n## 2020-01-01\n\nA note by hand.\n`);
    sandbox.write('phases/1-first/same.ts', 'other;\n');
    const { code, stderr } = await sandbox.run('freeze', ['1', '--why', 'A fix.']);
    expect(code).toBe(1);
    expect(stderr).toBe('phases/ERRATA.md has a line that is neither a date nor an entry: A note by hand.\n');
    expect(sandbox.read(lockPath)).toBe(before);
  });

  test('writes nothing when nothing has changed; line ends and dot files are no change', async ({
    expect,
  }) => {
    const sandbox = makeSandbox(files);
    await sandbox.run('freeze', ['1']);
    const before = [sandbox.read(lockPath), sandbox.read(errataPath)];
    sandbox.write('phases/1-first/same.ts', 'same;\r\n');
    sandbox.write('phases/1-first/.DS_Store', 'x');
    const { code, stdout } = await sandbox.run('freeze', ['1', '--why', 'no reason']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '1-first is as recorded. Nothing was written.\n' });
    expect([sandbox.read(lockPath), sandbox.read(errataPath)]).toEqual(before);
  });

  test('sees a new file, and a text that moves from one file to the next', async ({ expect }) => {
    const hash = async (change: object) => {
      const sandbox = makeSandbox({ 'phases/1-first/a.ts': 'ab', 'phases/1-first/b.ts': 'c', ...change });
      await sandbox.run('freeze', ['1']);
      return JSON.parse(sandbox.read(lockPath))['1-first'];
    };
    const changes = [
      {},
      { 'phases/1-first/c.ts': '' },
      { 'phases/1-first/a.ts': 'a', 'phases/1-first/b.ts': 'bc' },
    ];
    const hashes = await Promise.all(changes.map(hash));
    expect(new Set(hashes).size).toBe(changes.length);
  });

  test.for([
    { words: [], message: 'Name one phase: 1, 2, 3.' },
    { words: ['9', '--why', 'x'], message: 'There is no phase "9".' },
    { words: ['1', '--because', 'x'], message: "Unknown option '--because'." },
  ])('refuses $words without a stack', async ({ words, message }, { expect }) => {
    const { code, stderr } = await makeSandbox(files).run('freeze', words);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });
});

const hasGit = spawnSync('git', ['--version']).status === 0;

describe('npm run propagate', { concurrent: true, skip: !hasGit }, () => {
  async function makeRepository(): Promise<Sandbox> {
    const sandbox = makeSandbox(files);
    await sandbox.git('init', '-q');
    await sandbox.git('add', 'phases');
    expect((await sandbox.git('commit', '-q', '-m', 'phases')).code).toBe(0);
    return sandbox;
  }
  const gateway = (phase: string) => `phases/${phase}/gateway.ts`;
  const fix = (text: string) => text.replace('line 2;', 'line two;');

  test('carries a fix into every later phase and keeps what they added', async ({ expect }) => {
    const sandbox = await makeRepository();
    sandbox.write(gateway('1-first'), fix(twelve));
    const { code, stdout } = await sandbox.run('propagate', ['1', 'gateway.ts']);
    expect(code).toBe(0);
    expect(stdout).toBe(`2-second: merged
3-third: merged

Next: npm test, then record why the phases changed:
  npm run freeze -- 1 --why "REASON"
  npm run freeze -- 2 --why "REASON"
  npm run freeze -- 3 --why "REASON"
`);
    expect(sandbox.read(gateway('2-second'))).toBe(fix(files['phases/2-second/gateway.ts']));
    expect(sandbox.read(gateway('3-third'))).toBe(fix(files['phases/3-third/gateway.ts']));

    const again = await sandbox.run('propagate', ['1', 'gateway.ts']);
    expect(again.stdout).toMatch(/^2-second: already has the fix\n3-third: already has the fix\n/);
  });

  test('stops at a conflict, leaves that file alone, and is carried on from there', async ({ expect }) => {
    const sandbox = await makeRepository();
    sandbox.write(gateway('1-first'), twelve.replace('line 6;', 'line VI;'));
    const { code, stdout, stderr } = await sandbox.run('propagate', ['1', 'gateway.ts']);
    expect(code).toBe(1);
    expect(stdout).toContain('<<<<<<< 2-second\nline six;\nline six and a half;\n');
    expect(stdout).toContain('line VI;\n>>>>>>> 1-first');
    expect(stderr).toContain('npm run propagate -- 2 gateway.ts');
    for (const phase of ['2-second', '3-third'] as const) {
      expect(sandbox.read(gateway(phase))).toBe(files[`phases/${phase}/gateway.ts`]);
    }

    sandbox.write(gateway('2-second'), files['phases/2-second/gateway.ts'].replace('line 9;', 'line IX;'));
    expect((await sandbox.run('propagate', ['2', 'gateway.ts'])).code).toBe(0);
    expect(sandbox.read(gateway('3-third'))).toContain('line IX;');
  });

  test.for([
    { words: ['1'], message: 'Name a phase and a file.' },
    { words: ['9', 'gateway.ts'], message: 'There is no phase "9".' },
    {
      words: ['1', 'none.ts'],
      message: '1-first has no file "none.ts". It has: README.md, gateway.ts, same.ts.',
    },
    { words: ['1', '../2-second/gateway.ts'], message: '1-first has no file' },
    { words: ['1', 'gateway.ts'], message: 'phases/1-first/gateway.ts has no uncommitted change.' },
    { words: ['3', 'gateway.ts'], message: '3-third/gateway.ts has no uncommitted change' },
  ])('refuses $words without a stack', async ({ words, message }, { expect }) => {
    const { code, stderr } = await (await makeRepository()).run('propagate', words);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  test('says what is missing without a commit, and without git', async ({ expect }) => {
    const sandbox = makeSandbox(files);
    const outside = await sandbox.run('propagate', ['1', 'gateway.ts']);
    expect(outside.code).toBe(1);
    expect(outside.stderr).toContain('The last commit does not contain phases/1-first/gateway.ts');
    const without = await sandbox.run('propagate', ['1', 'gateway.ts'], { PATH: 'none', Path: 'none' });
    expect(without.code).toBe(1);
    expect(without.stderr).toContain('This command needs git');
  });
});

describe('the ladder', () => {
  const [pair] = listPairs(listPhases());
  if (!pair) throw new Error('There are no phases.');
  const phase = (number: number) => ({ number, name: `${number}-name`, folder: '' });
  const cell = (mustPass: boolean, passed: number, failed: number, skipped = 0): Cell => ({
    ...pair,
    mustPass,
    counts: { passed, failed, skipped },
  });

  test('has a pair for every phase and suite; a phase must pass the suites up to its own', () => {
    const pairs = listPairs([phase(1), phase(2)]);
    expect(pairs.map(({ project, mustPass }) => `${project} ${mustPass}`)).toEqual([
      'phase-1/suite-1 true',
      'phase-1/suite-2 false',
      'phase-2/suite-1 true',
      'phase-2/suite-2 true',
    ]);
  });

  test.each([
    ['all pass where all must', cell(true, 61, 0), 'ok 61', undefined],
    ['some are skipped where all must pass', cell(true, 40, 0, 21), 'ok 40, 21 skipped', undefined],
    ['one fails where one must', cell(false, 3, 1, 9), 'fails', undefined],
    ['one fails where all must pass', cell(true, 60, 1), '1 failed', /must pass, but 60 passed, 1 failed/],
    ['all pass where one must fail', cell(false, 61, 0), 'ok 61', /must fail, but 61 passed, 0 failed/],
    ['no test runs where all must pass', cell(true, 0, 0), 'none', /no test ran/],
    ['all are skipped where one must fail', cell(false, 0, 0, 61), 'none', /no test ran/],
  ])('judges that %s', (_, judged, shown, difference) => {
    expect(formatCell(judged)).toBe(shown);
    if (difference) expect(findDifference(judged)).toMatch(difference);
    else expect(findDifference(judged)).toBeUndefined();
  });

  test('has suite 1 against phase 0, counts what it keeps, and demands nothing of it', () => {
    const pairs = listLadderPairs([phase(0), phase(1), phase(2)]);
    expect(pairs.map(({ project }) => project)).toEqual([
      'phase-0/suite-1',
      'phase-1/suite-1',
      'phase-1/suite-2',
      'phase-2/suite-1',
      'phase-2/suite-2',
    ]);
    const cells = pairs.map((each) => {
      const kept = each.phase.number === 0 ? 20 : 61;
      return { ...each, counts: { passed: each.mustPass || kept === 20 ? kept : 0, failed: 1, skipped: 0 } };
    });
    expect(cells.map(findDifference)[0]).toBeUndefined();
    const markdown = formatMarkdown(cells);
    expect(markdown).toContain('\n| 0-name | 20 of 62 |  |\n');
    expect(readKept(`Text.\n\n${markdown}\n`)).toBe(20);
    expect(readKept('Text.')).toBeNaN();
  });

  test('has the same table on a machine that had to skip a sentence', () => {
    expect(formatMarkdown([cell(true, 60, 0, 1)])).toBe(formatMarkdown([cell(true, 61, 0)]));
    expect(formatMarkdown([cell(true, 60, 1, 1)])).toContain('1 failed');
  });

  test('prints phases down and suites across', () => {
    const counts = (mustPass: boolean) => ({
      passed: mustPass ? 61 : 0,
      failed: mustPass ? 0 : 1,
      skipped: 0,
    });
    const cells = listPairs([phase(1), phase(2)]).map((each) => ({ ...each, counts: counts(each.mustPass) }));
    expect(formatGrid(cells)).toBe(
      ['  phase   suite 1  suite 2', '  1-name  ok 61    fails', '  2-name  ok 61    ok 61'].join('\n'),
    );
    expect(formatMarkdown(cells)).toBe(
      [
        '| phase | suite 1 | suite 2 |',
        '| --- | --- | --- |',
        '| 1-name | ok 61 | fails |',
        '| 2-name | ok 61 | ok 61 |',
      ].join('\n'),
    );
  });

  test('adds counts up, and names skipped tests only if there are any', () => {
    expect(formatCounts(sum([]))).toBe('0 passed, 0 failed');
    const total = sum([
      { passed: 1, failed: 2, skipped: 3 },
      { passed: 10, failed: 20, skipped: 30 },
    ]);
    expect(formatCounts(total)).toBe('11 passed, 22 failed, 33 skipped');
  });
});
