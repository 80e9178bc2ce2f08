import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startPhase } from '../shared/process/gateway-process.ts';
import { findPorts } from '../shared/process/ports.ts';
import { readPhaseFiles } from '../shared/repository/phase-files.ts';
import { listPhases, type Phase, root } from '../shared/repository/phases.ts';
import { listSteps } from '../shared/repository/steps.ts';
import { everything, makeSandbox, type Sandbox } from './support/sandbox.ts';

const phases = listPhases();
const [first, , third] = phases as [Phase, Phase, Phase];

const learnerRoom = () => makeSandbox({}, everything);
const inWorkspace = ({ folder }: Sandbox) => readdirSync(join(folder, 'workspace')).sort();
const saves = ({ folder }: Sandbox) => {
  const path = join(folder, 'workspace-saves');
  return existsSync(path) ? readdirSync(path).sort() : [];
};
const learn = async (sandbox: Sandbox, ...words: string[]) => {
  const result = await sandbox.run('learn', words);
  expect(result.stderr).toBe('');
  expect(result.code).toBe(0);
  return result.stdout;
};

/** Checks that PHASE.md has the texts of contract and documents, TASK.md those of the first step, and the links of both. */
function expectTask(sandbox: Sandbox, number: number): void {
  const task = sandbox.read('workspace/TASK.md');
  const phase = sandbox.read('workspace/PHASE.md');
  for (const title of [
    'Your starting point',
    'The contract',
    'What must stay true',
    'The steps',
    'Where to look',
    'Commands',
  ]) {
    expect(phase).toMatch(new RegExp(`^## ${title}\n\n\\S`, 'm'));
  }
  const contract =
    sandbox.read('docs/contract.md').split(`\n## Phase ${number}:`)[1]?.split('\n## ')[0] ?? '';
  const promises = contract.split('\n').filter((line) => line.startsWith('- '));
  expect(promises.length).toBeGreaterThan(3);
  for (const promise of promises) expect(phase).toContain(promise.split('](')[0]);
  // Phases 5 and 7 add no field.
  if (number !== 5 && number !== 7) expect(phase).toContain('### Config fields\n\n| field |');

  const steps = listSteps(number);
  for (const { file } of steps) expect(phase).toContain(`](../shared/contract/${file})`);
  const [{ file, about, title } = { file: '', about: '', title: '' }] = steps;
  expect(task).toContain(`: step 1 of ${steps.length}, ${title}\n\n${about}\n\n`);
  const source = readFileSync(join(root, 'shared/contract', file), 'utf8');
  const plain = [...source.matchAll(/\b(?:it|test)(?:\.skipIf\(.*?\))?\(\s*'([^'%\\]+)'/g)];
  expect(plain.length).toBeGreaterThan(0);
  for (const [, name] of plain) expect(task).toContain(`- ${name}\n`);
  const targets = [...(task + phase).matchAll(/\]\(([^)\s#]+)/g)].map(([, target = '']) => target);
  const missing = (target: string) => !existsSync(join(sandbox.folder, 'workspace', target));
  expect(targets.filter((target) => !/^[a-z]+:/.test(target) && missing(target))).toEqual([]);
}

describe.concurrent('npm run learn', () => {
  test.for(phases)(
    '$name: makes a gateway that starts, and a task that says what it owes',
    async (phase, { expect }) => {
      const { number, name, folder } = phase;
      const before = phases.findLast((other) => other.number < number);
      const sandbox = learnerRoom();
      const stdout = await learn(sandbox, String(number));
      const what = before ? `a copy of ${before.name}.` : 'a first gateway in four steps, in server.ts.';
      expect(stdout).toContain(`workspace/ is ready for ${name}: ${what}\n`);
      expect(stdout).toContain('It starts and answers GET /health.');
      expect(stdout).toContain(
        `Next: read workspace/TASK.md, then see what fails: npm run verify -- ${number}\n`,
      );

      const own = before ? [...readPhaseFiles(before.folder).keys()] : ['gateway.json', 'server.ts'];
      const files = own.filter((path) => path !== 'README.md' && path !== 'tsconfig.json');
      expect(inWorkspace(sandbox)).toEqual(
        [...files, '.phase', 'PHASE.md', 'TASK.md', 'tsconfig.json'].sort(),
      );
      expect(sandbox.read('workspace/.phase')).toBe(`${number}\n`);
      expect(sandbox.read('workspace/gateway.json')).toBe(readPhaseFiles(folder).get('gateway.json'));
      const tsc = [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '--noEmit', '-p', 'workspace'];
      expect(spawnSync(process.execPath, tsc, { cwd: sandbox.folder, encoding: 'utf8' }).stdout).toBe('');
      expectTask(sandbox, number);
    },
  );

  test('--from empty: a server that is honest about what it does not do', async ({ expect }) => {
    const sandbox = learnerRoom();
    expect(await learn(sandbox, '2', '--from', 'empty')).toContain('and 501 to every other request.');
    expect(inWorkspace(sandbox)).toEqual([
      '.phase',
      'PHASE.md',
      'TASK.md',
      'gateway.json',
      'server.ts',
      'tsconfig.json',
    ]);
    const folder = join(sandbox.folder, 'workspace');
    const [port = 0, adminPort = 0] = await findPorts(0, 2);
    const logs: string[] = [];
    const gateway = startPhase({ ...first, folder }, { port, adminPort }, join(folder, 'gateway.json'), {
      onLog: (line) => logs.push(line),
      onError: (line) => logs.push(line),
    });
    try {
      expect(await gateway.ready(), logs.join('\n')).toBe(true);
      const answer = await fetch(`${gateway.url}/api/inventory`);
      expect(answer.status).toBe(501);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(await answer.json()).toMatchObject({ status: 501, title: 'Not written yet' });
      expect(logs.map((line) => JSON.parse(line))).toMatchObject([{ msg: 'listening', url: gateway.url }]);
    } finally {
      await gateway.stop();
    }

    const same = await sandbox.run('learn', ['2']);
    expect(same.code).toBe(1);
    expect(same.stderr).toContain('Your workspace is for phase 2 already.');
    const leap = await sandbox.run('learn', ['4', '--from', 'mine']);
    expect(leap.code).toBe(1);
    expect(leap.stderr).toContain('Your workspace is for phase 2, but --from mine needs one for phase 3.');
    expect(saves(sandbox)).toEqual([]);
  });

  test('--from first: a gateway that forwards, and the default of phase 1', async ({ expect }) => {
    const sandbox = learnerRoom();
    const stdout = await learn(sandbox, '1', '--from', 'first');
    expect(stdout).toContain(
      'workspace/ is ready for 1-routing: a first gateway in four steps, in server.ts.',
    );
    expect(sandbox.read('workspace/server.ts')).toBe(sandbox.read('shared/examples/first-gateway/server.ts'));
    expect(sandbox.read('workspace/PHASE.md')).toContain('`server.ts` is a first gateway in four steps');
    const reference = await sandbox.run('learn', ['2', '--from', 'first']);
    expect(reference.stderr).toContain('--from first is a gateway for phase 1 only.');
    expect((await sandbox.run('reset', ['--from', 'reference'])).stderr).toContain('is the first phase');
    expect(saves(sandbox)).toEqual([]);
    expect((await sandbox.run('reset')).stdout).toContain('a first gateway in four steps');
  });

  test('--from mine: goes on with the files of the learner, and saves them first', async ({ expect }) => {
    const sandbox = learnerRoom();
    await learn(sandbox, '2');
    sandbox.write('workspace/gateway.ts', `// mine\n${sandbox.read('workspace/gateway.ts')}`);
    sandbox.write('workspace/my-limiter.ts', 'export const mine = true;\n');
    const stdout = await learn(sandbox, '3', '--from', 'mine');
    expect(stdout).toContain(`workspace/ is ready for ${third.name}: your own gateway, to be continued.`);
    expect(stdout).toContain('config.ts     accepts "trustedProxies" and "rateLimit" without a check');
    expect(stdout).toContain('It starts and answers GET /health.');
    expect(sandbox.read('workspace/gateway.ts')).toMatch(/^\/\/ mine\n/);
    expect(sandbox.read('workspace/my-limiter.ts')).toBe('export const mine = true;\n');
    expect(sandbox.read('workspace/PHASE.md')).toContain('This folder is your own gateway.');
    const [save = ''] = saves(sandbox);
    expect(stdout).toContain(`npm run reset -- --restore ${save}\n`);
    expect(sandbox.read(`workspace-saves/${save}/.phase`)).toBe('2\n');
    expect(sandbox.read(`workspace-saves/${save}/config.ts`)).not.toContain('rateLimit');
  });

  test('--from mine: says what it could not do in files of another kind, and what such a gateway says', async ({
    expect,
  }) => {
    const sandbox = learnerRoom();
    await learn(sandbox, '1', '--from', 'empty');
    const server = sandbox.read('workspace/server.ts');
    const strict = `if ('clients' in config) {\n  console.error('clients: unknown field');\n  process.exit(1);\n}\n`;
    sandbox.write('workspace/server.ts', `${server}\n${strict}`);
    const stdout = await learn(sandbox, '2', '--from', 'mine');
    expect(stdout).toContain(
      'let your config accept "routes[].access" and "clients": no zod object was found',
    );
    expect(stdout).toContain(
      'It does not start yet with the config of this phase. It printed:\n\n    clients: unknown field\n',
    );
    expect(sandbox.read('workspace/PHASE.md')).toContain(
      '**First of all:** let your config accept `clients`',
    );
  });

  test.for([
    { words: [], message: 'Name a phase: 1, 2, 3' },
    { words: ['99'], message: 'There is no phase "99".' },
    {
      words: ['2', '--from', 'nowhere'],
      message: '--from takes reference, mine, first or empty, not "nowhere".',
    },
    {
      words: ['2', '--from', 'mine'],
      message: 'There is no workspace, but --from mine needs one for phase 1.',
    },
    {
      words: ['1', '--from', 'mine'],
      message: 'is the first phase: you have no earlier gateway to continue with.',
    },
    {
      words: ['1', '--from', 'reference'],
      message: 'is the first phase: there is no phase before it to copy. Use --from first or --from empty.',
    },
    { words: ['2', '--from', 'first'], message: '--from first is a gateway for phase 1 only.' },
    { words: ['0'], message: 'Phase 0 is the plugin as it comes' },
    { words: ['2', '3'], message: 'Did not expect "3".' },
  ])('refuses $words without a stack, and makes nothing', async ({ words, message }, { expect }) => {
    const sandbox = learnerRoom();
    const { code, stdout, stderr } = await sandbox.run('learn', words);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^ +at /m);
    expect(existsSync(join(sandbox.folder, 'workspace'))).toBe(false);
  });
});

describe.concurrent('npm run compare, rescue and reset', () => {
  test('compare shows the workspace beside the reference, rescue takes a file from there', async ({
    expect,
  }) => {
    const sandbox = learnerRoom();
    await learn(sandbox, '3');
    sandbox.write('workspace/my-limiter.ts', 'export const mine = true;\n');
    const { code, stdout } = await sandbox.run('compare');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^From workspace to phases\/3-rate-limiting\n\n {2}differs +gateway\.ts +\+\d+ -\d+\n {2}differs +access-log\.ts +\+\d+\n/,
    );
    expect(stdout).toMatch(/\n {2}theirs +fixed-window\.lua +\+\d+\n/);
    expect(stdout).toMatch(/\n {2}yours +my-limiter\.ts +-1\n/);
    expect(stdout).toContain('--- workspace/config.ts\n+++ phases/3-rate-limiting/config.ts\n');
    expect(stdout).toContain('--- workspace/my-limiter.ts\n+++ /dev/null\n');
    expect(stdout).not.toMatch(/TASK\.md|tsconfig\.json|README\.md/);
    expect(stdout).toContain(
      'Next: npm run verify -- 3, or copy a file of the reference: npm run rescue -- 3 ',
    );

    const one = await sandbox.run('compare', ['config.ts', '--stat']);
    expect(one.stdout).toMatch(/ {2}differs +config\.ts/);
    expect(one.stdout).not.toMatch(/my-limiter|@@/);
    expect((await sandbox.run('compare', ['2'])).stdout).toContain('Next: npm run compare -- 3');
    const unknown = await sandbox.run('compare', ['3', 'none.ts']);
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toContain('Neither the workspace nor the reference has a file "none.ts".');

    const fresh = await sandbox.run('rescue', ['3', 'phases/3-rate-limiting/redis.ts']);
    expect(fresh.stdout).toContain('workspace/redis.ts is now the file of 3-rate-limiting.\n');
    expect(fresh.stdout).toContain(
      'It needs fixed-window.lua, which you do not have: npm run rescue -- 3 fixed-window.lua\n',
    );
    expect(fresh.stdout).toContain(
      'None of your files uses it yet. In the reference it is used by fixed-window.ts, gateway.ts, server.ts.\n',
    );
    expect(fresh.stdout).toMatch(/\nNext: npm run verify -- 3\n$/);
    expect(saves(sandbox)).toEqual([]);

    sandbox.write('workspace/gateway.ts', '// mine\n');
    const replaced = await sandbox.run('rescue', ['3', 'gateway.ts']);
    const [save = ''] = saves(sandbox);
    expect(replaced.stdout).toContain(`Yours was saved as workspace-saves/${save}/gateway.ts\n`);
    expect(sandbox.read(`workspace-saves/${save}/gateway.ts`)).toBe('// mine\n');
    expect(sandbox.read('workspace/gateway.ts')).toBe(readPhaseFiles(third.folder).get('gateway.ts'));
    const again = await sandbox.run('rescue', ['3', 'workspace/gateway.ts']);
    expect(again.stdout).toBe(
      'workspace/gateway.ts is already the file of 3-rate-limiting. Nothing was written.\n',
    );
    const outside = await sandbox.run('rescue', ['3', '../2-client-identity/config.ts']);
    expect(outside.stderr).toContain(
      '3-rate-limiting has no file "../2-client-identity/config.ts". It has: README.md',
    );

    rmSync(join(sandbox.folder, 'workspace', 'my-limiter.ts'));
    for (const [path, text] of readPhaseFiles(third.folder)) sandbox.write(`workspace/${path}`, text);
    const done = await sandbox.run('compare', ['3']);
    expect(done.stdout).toMatch(
      /^From workspace to phases\/3-rate-limiting\n\n {2}\d+ files are the same\.\n\nNothing differs/,
    );

    sandbox.write('workspace/.phase', 'nine\n');
    expect((await sandbox.run('compare')).stderr).toContain(
      'workspace/.phase contains "nine", which is not a phase.',
    );
  });

  test('reset saves, begins anew, lists and restores', async ({ expect }) => {
    const sandbox = learnerRoom();
    await learn(sandbox, '2');
    const clean = sandbox.read('workspace/gateway.ts');
    expect((await sandbox.run('reset', ['--list'])).stdout).toContain(
      'No copy of a workspace was saved yet.',
    );

    sandbox.write('workspace/gateway.ts', '// mine\n');
    sandbox.write('workspace/node_modules/x/index.js', '');
    const reset = await sandbox.run('reset');
    expect(reset.code).toBe(0);
    expect(reset.stdout).toContain('workspace/ is ready for 2-client-identity: a copy of 1-routing.');
    expect(sandbox.read('workspace/gateway.ts')).toBe(clean);
    const [name = ''] = saves(sandbox);
    expect(reset.stdout).toContain(`Your files were saved in workspace-saves/${name}.`);
    expect(existsSync(join(sandbox.folder, 'workspace-saves', name, 'node_modules'))).toBe(false);
    const list = await sandbox.run('reset', ['--list']);
    expect(list.stdout).toMatch(new RegExp(`^ {2}${name} {3}\\d+ files\n\n`));

    sandbox.write('workspace/gateway.ts', '// later\n');
    const restore = await sandbox.run('reset', ['--restore', name]);
    expect(restore.stdout).toContain(`workspace/ was restored from ${name}.\nNext: npm run verify -- 2\n`);
    expect(sandbox.read('workspace/gateway.ts')).toBe('// mine\n');
    const later = saves(sandbox).find((each) => each !== name) ?? '';
    expect(sandbox.read(`workspace-saves/${later}/gateway.ts`)).toBe('// later\n');

    await sandbox.run('reset', ['--restore', 'last']);
    expect(sandbox.read('workspace/gateway.ts')).toBe('// later\n');
    const mine = await sandbox.run('reset', ['--from', 'mine']);
    expect(mine.stderr).toContain('--from takes reference, first or empty, not "mine".');
    expect(saves(sandbox)).toHaveLength(3);
  });

  test.for([
    { command: 'compare', words: [], message: 'There is no workspace yet. Next: npm run learn -- 1' },
    { command: 'rescue', words: ['3', 'redis.ts'], message: 'There is no workspace yet.' },
    { command: 'reset', words: [], message: 'There is no workspace yet.' },
    { command: 'progress', words: [], message: 'There is no workspace yet.' },
    { command: 'rescue', words: ['3'], message: 'Name a phase and a file.' },
    { command: 'reset', words: ['2'], message: 'Did not expect "2".' },
    {
      command: 'reset',
      words: ['--restore', '../phases'],
      message: 'There is no copy "../phases". The copies are: none yet.',
    },
  ])('$command $words is refused without a workspace', async ({ command, words, message }, { expect }) => {
    const sandbox = learnerRoom();
    const { code, stdout, stderr } = await sandbox.run(command, words);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  test.for([
    { path: 'workspace', command: 'learn', words: ['1'] },
    { path: 'workspace-saves', command: 'learn', words: ['1'] },
  ])('a file in the place of $path has its cure', async ({ path, command, words }, { expect }) => {
    const sandbox = learnerRoom();
    sandbox.write(path, '');
    const { code, stderr } = await sandbox.run(command, words);
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`${path} is a file, but must be a folder\\. Next: move it away`));
    expect(stderr).not.toMatch(/^ +at /m);
  });

  test('no command touches a file of the repository', async ({ expect }) => {
    const sandbox = learnerRoom();
    // In the sandbox node_modules is a link, which the pattern node_modules/ in .gitignore does not match.
    sandbox.write('.git/info/exclude', 'node_modules\n');
    for (const words of [
      ['init', '-q'],
      ['add', '-A'],
      ['commit', '-q', '-m', 'all'],
    ]) {
      expect((await sandbox.git(...words)).code).toBe(0);
    }
    await learn(sandbox, '1');
    sandbox.write('workspace/notes.txt', 'mine');
    await learn(sandbox, '2');
    expect(inWorkspace(sandbox)).not.toContain('notes.txt');
    const [save = ''] = saves(sandbox);
    expect(save).toMatch(/^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_phase-1$/);
    expect(sandbox.read(`workspace-saves/${save}/notes.txt`)).toBe('mine');
    await sandbox.run('rescue', ['2', 'identify.ts']);
    expect((await sandbox.git('status', '--porcelain')).stdout).toBe('');
  });
});
