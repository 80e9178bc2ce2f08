import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { makeSandbox } from './support/sandbox.ts';

const suite = (number: number, level: number) => `
import { expect, test } from 'vitest';
const level = Number(process.env.GATEWAY_LEVEL);
const command: string[] = JSON.parse(process.env.GATEWAY_COMMAND ?? '');
test('is asked for its own level', () => expect(level).toBe(Math.max(2, ${number})));
test('is the gateway of the workspace', () => expect(command.at(-1)).toMatch(/workspace[\\\\/]server\\.ts$/));
test('has what suite ${number} asks for', () => expect(${level}).toBeGreaterThanOrEqual(${number}));
${number === 2 ? `test.skip('needs what this machine lacks', () => {});` : ''}
`;

const files = (level: number) => ({
  'README.md':
    '# Ladder\n\n| phase | suite 1 | suite 2 | suite 3 |\n| --- | --- | --- | --- |\n| 1-first | ok 3 | fails | fails |\n| 2-second | ok 3 | ok 3 | fails |\n| 3-third | ok 3 | ok 3 | ok 3 |\n',
  'phases/1-first/server.ts': '',
  'phases/2-second/server.ts': '',
  'phases/3-third/server.ts': '',
  'shared/contract/1-first/1-all.test.ts': suite(1, level),
  'shared/contract/2-second/1-all.test.ts': suite(2, level),
  'shared/contract/3-third/1-all.test.ts': suite(3, level),
  'workspace/.phase': '2\n',
  'workspace/server.ts': '',
});

test('npm run progress: the steps of the phase, a row for the workspace, and what to do next', async () => {
  const { code, stdout, stderr } = await makeSandbox(files(1), ['vitest.config.ts']).run('progress');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^Every suite .*\n(?:The order .*\n)?\n {2}step 1 {2}all {2}open {2}2 passed, 1 failed, 1 skipped\n\n {2}phase /,
  );
  expect(stdout).toContain(`
  phase      suite 1  suite 2   suite 3
  1-first    ok 3     fails     fails
  2-second   ok 3     ok 3      fails
  workspace  ok 3     1 failed  fails
  3-third    ok 3     ok 3      ok 3

1 sentence was skipped: this machine or this gateway lacks what it needs. The rows of the phases count skipped sentences as kept.

  drills    0 run, 0 predicted
  mistakes  0 found, 0 revealed
  hints     none read

Suite 2 is the lowest that fails. Next: npm run verify -- 2
`);
});

test('npm run progress: when all is kept, the next phase', async () => {
  const { code, stdout } = await makeSandbox(files(2), ['vitest.config.ts']).run('progress');
  expect(code).toBe(0);
  expect(stdout).toMatch(/\n {2}workspace +ok 3 +ok 3, 1 skipped +fails\n/);
  expect(stdout).toContain(
    'Your gateway keeps the contract of phase 2. Next: npm run compare -- 2, then npm run learn -- 3 --from mine\n',
  );
});

const journal = {
  drills: { 'hidden-retry': true, 'client-abort': false, 'redis-down': null },
  hunts: { '1-first/a': true, '1-first/b': false },
  hints: { '2: some sentence': 3, '2: another: one': 1, '1: a third': 2 },
};

test('npm run progress: what was done with drill, break and hint', async () => {
  const done = { ...files(2), 'workspace-saves/journal.json': JSON.stringify(journal) };
  const { stdout } = await makeSandbox(done, ['vitest.config.ts']).run('progress');
  expect(stdout).toContain(`
  drills    3 run, 1 predicted
  mistakes  1 found, 1 revealed
  hints     read for sentences: 1 of suite 1, 2 of suite 2
`);
});

// script(1) of util-linux gives a program a terminal.
const hasScript = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0;

test.skipIf(!hasScript)('the journal is written for a reader at a terminal, and for no other', () => {
  const sandbox = makeSandbox({
    'note.ts': `import { readJournal, writeJournal } from './shared/repository/journal.ts';
writeJournal(({ drills }) => { drills['hidden-retry'] = true; });
console.log(JSON.stringify(readJournal()));`,
  });
  const command = `${process.execPath} --import tsx note.ts`;
  const noteIn = (shell: string, words: string[]) =>
    spawnSync(shell, words, { cwd: sandbox.folder, encoding: 'utf8' }).stdout;
  expect(noteIn('sh', ['-c', command])).toContain('"drills":{}');
  expect(noteIn('script', ['-qec', command, '/dev/null'])).toContain('"drills":{"hidden-retry":true}');
  expect(noteIn('sh', ['-c', command])).toContain('"drills":{"hidden-retry":true}');
});
