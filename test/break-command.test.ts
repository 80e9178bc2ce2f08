import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { listMutants } from '../shared/mutants/mutant.ts';
import { findPhase } from '../shared/repository/phases.ts';
import { startProcess } from './support/processes.ts';
import { makeSandbox, type Sandbox } from './support/sandbox.ts';

const patience = { timeout: 25_000, interval: 25 };
const anyPorts = ['--port', '0', '--inventory-port', '0', '--orders-port', '0'];
const mutants = (phase: string) => listMutants(findPhase(phase));
const namesWithout = (phase: string, needs: string[]) =>
  mutants(phase)
    .filter((mutant) => !mutant.needs.some((need) => needs.includes(need)))
    .map(({ name }) => name);

// A sandbox, so that the mutant that is hidden in this repository is not changed.
let sandbox: Sandbox;
beforeEach(() => {
  sandbox = makeSandbox({}, ['shared/upstreams', 'shared/mutants', 'phases']);
});

const run = (...words: string[]) => sandbox.run('break', words);
const hide = (phase: string, hidden: string) =>
  sandbox.write('.mutants/break.json', JSON.stringify({ [findPhase(phase).name]: { hidden, known: [] } }));

/** Starts the command and waits until it has printed everything. */
async function start(words: string[], env: NodeJS.ProcessEnv = {}) {
  const script = [process.execPath, '--import', 'tsx', 'shared/cli/break.ts', ...words, ...anyPorts];
  const plain = { REDIS_URL: '', NO_COLOR: '1', FORCE_COLOR: undefined, ...env };
  const { child, ended, stdout, output } = startProcess(script, plain, sandbox.folder);
  await expect.poll(() => child.exitCode !== null || stdout().includes('--reveal'), patience).toBe(true);
  expect(child.exitCode, output()).toBeNull();
  const [, url = ''] = /gateway +(http\S+)/.exec(stdout()) ?? [];
  const named = stdout()
    .match(/^ {2}[a-z\d-]+$/gm)
    ?.map((line) => line.trim());
  const stop = async () => {
    child.kill('SIGTERM');
    return await ended;
  };
  return { url, named, said: stdout(), stop };
}

describe('npm run break', () => {
  test('starts the phase with the hidden mistake in it, and names what it may be', async () => {
    hide('2', 'plain-object-lookup');
    const { said, url, named, stop } = await start(['2']);
    const answer = await fetch(`${url}/api/inventory`, { headers: { 'X-API-Key': 'constructor' } });
    expect(answer.status).toBe(200);
    expect(named).toEqual(namesWithout('2', ['redis', 'config']));
    expect(said).toMatch(/But it is broken.*\nNext: .*npm run break -- 2 --guess NAME\n/s);
    expect(await stop()).not.toBe(1);
    expect(readdirSync(join(sandbox.folder, '.mutants'))).toEqual(['break.json']);
  });

  test('hides the same mistake until it is known, and then another one', async () => {
    const hidden = () => JSON.parse(sandbox.read('.mutants/break.json'))['2-client-identity'].hidden;
    await (await start(['2'])).stop();
    const first = hidden();
    expect(namesWithout('2', [])).toContain(first);
    await (await start(['2'])).stop();
    expect(hidden()).toBe(first);
    expect((await run('2', '--guess', first)).stdout).toMatch(/^Yes/);
    await (await start(['2'])).stop();
    const second = hidden();
    expect(second).not.toBe(first);
    await (await start(['2', '--another'])).stop();
    expect(hidden()).not.toBe(second);
  });

  test('hides only what can be seen: with a real Redis, and with a config of the reader’s own, more', async () => {
    const config = join(sandbox.folder, 'phases', '3-rate-limiting', 'gateway.json');
    const plain = await start(['3']);
    expect(plain.named).toEqual(namesWithout('3', ['redis', 'config']));
    await plain.stop();
    const configured = await start(['3', '--config', config]);
    expect(configured.named).toEqual(namesWithout('3', ['redis']));
    await configured.stop();
    const withRedis = await start(['3'], { REDIS_URL: 'redis://127.0.0.1:1' });
    expect(withRedis.named).toEqual(namesWithout('3', ['config']));
    await withRedis.stop();
  });
});

describe('npm run break -- --guess', () => {
  test('a wrong one is told what it would have been, and the search goes on', async () => {
    hide('2', 'key-forwarded');
    const { code, stdout } = await run('2', '--guess', 'key-in-log');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^No, .*key-in-log: .*\n\nNext: .*npm run break -- 2 --reveal\n$/s);
    expect(stdout).not.toContain('key-forwarded');
    expect((await run('2', '--guess', 'key-forwarded')).stdout).toMatch(/^Yes/);
  });

  test('the right one is told the lines, the sentences and the next step', async () => {
    hide('2', 'key-forwarded');
    const { code, stdout } = await run('2', '--guess', 'key-forwarded');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Yes, .*\n- {2}'x-api-key',\n.*\nNext: npm run /s);
    for (const expected of mutants('2').find(({ name }) => name === 'key-forwarded')?.fails ?? [])
      expect(stdout).toContain(`  ${expected.file}: ${expected.test}\n`);
    const again = await run('2', '--guess', 'key-forwarded');
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('Nothing is hidden') });
  });
});

describe('npm run break -- --hard', () => {
  test('names no mistake, and a guess names a file', async () => {
    hide('2', 'key-forwarded');
    const { said, named, stop } = await start(['2', '--hard']);
    await stop();
    expect(named).toBeUndefined();
    for (const { name } of mutants('2')) expect(said).not.toContain(name);
    expect(said).toMatch(/But it is broken.*\nNext: .*npm run break -- 2 --guess FILE\n/s);

    const wrong = await run('2', '--guess', 'route.ts');
    expect(wrong.stdout).toMatch(
      /^No, the mistake is not in route\.ts\.\n\nNext: .*npm run break -- 2 --reveal\n$/,
    );
    const right = await run('2', '--guess', 'phases/2-client-identity/headers.ts');
    expect(right.stdout).toMatch(
      /^Yes, the mistake is in headers\.ts\.\n\nNext: .*npm run break -- 2 --reveal\n$/,
    );
    expect(right.stdout).not.toContain('x-api-key');
    // A name without its ending comes before a longer one that begins with it.
    expect((await run('2', '--guess', 'ROUTE')).stdout).toMatch(/^No, the mistake is not in route\.ts\./);
    expect((await run('2', '--guess', 'heade')).stdout).toMatch(/^Yes, the mistake is in headers\.ts\./);
    const two = await run('2', '--guess', 'up');
    expect(two).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^"up" may be .*upload\.ts.*upstream\.ts/),
    });
    const unknown = await run('2', '--guess', 'key-in-log');
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toMatch(
      /phases\/2-client-identity has no file "key-in-log"\. Its files are: .*headers\.ts/,
    );
    expect((await run('2', '--reveal')).stdout).toMatch(/^2-client-identity\/key-forwarded\n/);
  });

  test('ends with a start without it: the same mistake, with names', async () => {
    hide('2', 'key-forwarded');
    await (await start(['2', '--hard'])).stop();
    const { named, stop } = await start(['2']);
    await stop();
    expect(named).toEqual(namesWithout('2', ['redis', 'config']));
    expect((await run('2', '--guess', 'key-forwarded')).stdout).toMatch(/^Yes/);
  });
});

test('npm run break -- --reveal tells it without a guess', async () => {
  hide('1', 'query-lost');
  const { code, stdout } = await run('1', '--reveal');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^1-routing\/query-lost\n {2}.*\n\nThe mistake:\n\n--- route\.ts\n/);
});

test.each([
  [[], /Name a phase\./],
  [['9'], /no phase "9"/],
  [['2', '--reveal'], /Nothing is hidden in 2-client-identity\. Next: npm run break -- 2\n$/],
  [['2', '--guess', 'none'], /no mutant "none"\. It has: \n {2}access-by-url\n/],
  [['2', '--port', 'x'], /--port takes a whole number/],
  [['2', '3'], /Did not expect "3"/],
  [['2', '--giveup'], /Unknown option '--giveup'.*--reveal/s],
])('npm run break -- %j is refused with what to do', async (words, message) => {
  const { code, stdout, stderr } = await run(...words);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/^ +at /m);
});
