import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

function key(...args: string[]) {
  return spawnSync(process.execPath, ['--import', 'tsx', 'shared/cli/key.ts', ...args], {
    cwd: root,
    encoding: 'utf8',
  });
}

test('prints a key of 32 random bytes, its digest, and an entry that admits it', () => {
  const { status, stdout } = key('mobile-app');
  expect(status).toBe(0);
  const made = /key +gw_(\S+)/.exec(stdout)?.[1] ?? '';
  expect(Buffer.from(made, 'base64url')).toHaveLength(32);
  const digest = createHash('sha256').update(`gw_${made}`).digest('hex');
  expect(stdout).toContain(`SHA-256  ${digest}`);
  const entry = /\{ "id".*\}/.exec(stdout)?.[0] ?? '';
  expect(JSON.parse(entry)).toEqual({ id: 'mobile-app', keySha256: [digest] });
  expect(stdout).toContain(`curl -H "X-API-Key: gw_${made}"`);
});

test('never prints the same key twice', () => {
  expect(key('a').stdout).not.toBe(key('a').stdout);
});

test.each([
  [['two words'], /"two words" is not a valid client name.*NAME: 1 to 64 letters/s],
  [['x'.repeat(65)], /is not a valid client name/],
  [['anonymous'], /is not a valid client name/],
  [['"quote'], /is not a valid client name/],
  [[], /Name the client\./],
  [['a', 'b'], /Did not expect "b"/],
  [['--name', 'a'], /Unknown option '--name'/],
])('refuses %j with the rule', (args, message) => {
  const { status, stdout, stderr } = key(...args);
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/\n +at /);
});

test('--help prints the usage', () => {
  expect(key('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('npm run key -- NAME') });
});
