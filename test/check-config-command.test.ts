import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findOddities } from '../shared/config/oddities.ts';
import type { GatewayFile } from '../shared/config/phase-config.ts';
import { readText } from '../shared/repository/phase-files.ts';
import { listPhases, root } from '../shared/repository/phases.ts';

const folder = mkdtempSync(join(tmpdir(), 'gateway-check-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const phases = listPhases();
const newest = phases.at(-1) ?? { number: 0, name: '', folder: '' };
const bad = 'docs/examples/bad-config.json';
const odd = 'docs/examples/odd-config.json';

function runNode(words: string[], env: Record<string, string> = {}) {
  const options = { cwd: root, env: { ...process.env, INIT_CWD: root, ...env }, timeout: 30_000 };
  return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, ['--import', 'tsx', ...words], options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    );
  });
}

const check = (words: string[], env?: Record<string, string>) =>
  runNode(['shared/cli/check-config.ts', ...words], env);

/** Writes a config file and returns its path. */
function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const valid = readText(join(newest.folder, 'gateway.json'));

describe.concurrent('npm run check-config', () => {
  test.each(phases)(
    'says of a bad config what the start of $name says',
    async ({ number, folder: phase }) => {
      const [checked, start] = await Promise.all([
        check([bad, '--phase', String(number)]),
        runNode([join(phase, 'server.ts')], { GATEWAY_CONFIG: bad, PORT: '0', ADMIN_PORT: '0' }),
      ]);
      expect([checked.code, checked.stdout, start.code]).toEqual([1, '', 1]);
      expect(start.stderr).toContain(`The config ${bad} is not usable:\n`);
      expect(checked.stderr.startsWith(`${start.stderr}\n`)).toBe(true);
      expect(checked.stderr).toMatch(/Next: mend what is named above/);
    },
  );

  test.each([
    ['that is no JSON', '{ "services": '],
    ['that is empty', ''],
    ['with a key that occurs twice', valid.replace('"clients": ', '"clients": [],\n"clients": ')],
    ['that is nested 100,000 deep', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
  ])('says of a file %s what the start says', async (name, text) => {
    const file = write(`${name.replaceAll(/\W/g, '-')}.json`, text);
    const [checked, start] = await Promise.all([
      check([file]),
      runNode([join(newest.folder, 'server.ts')], { GATEWAY_CONFIG: file, PORT: '0', ADMIN_PORT: '0' }),
    ]);
    expect([checked.code, checked.stdout, start.code]).toEqual([1, '', 1]);
    expect(checked.stderr.startsWith(`${start.stderr}\n`)).toBe(true);
  });

  test('names what is odd in a config that a phase accepts, and the next step', async () => {
    const { code, stdout, stderr } = await check([odd, '--phase', '6']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`Phase 6 would start with ${odd}.`);
    expect(stdout).toMatch(/\n {2}services\.carts: no route leads to it/);
    expect(stdout.endsWith(`\nNext: npm run phase:6 -- --config ${odd}\n`)).toBe(true);
  });

  test('says so when nothing is odd', async () => {
    const { code, stdout } = await check(['phases/1-routing/gateway.json', '--phase', '1']);
    expect(code).toBe(0);
    expect(stdout).toContain('Nothing in it is odd.');
  });

  test('names another phase that accepts the config', async () => {
    const { code, stderr } = await check(['phases/3-rate-limiting/gateway.json']);
    expect(code).toBe(1);
    expect(stderr).toContain('circuitBreaker: is missing\n');
    expect(stderr).toContain('Phase 3 would start with it.');
    expect(stderr).toContain('Next: npm run check-config -- phases/3-rate-limiting/gateway.json --phase 3');
  });

  test('accepts a byte order mark, and a path from the folder of the user', async () => {
    mkdirSync(join(folder, 'here'));
    write(join('here', 'marked.json'), `\uFEFF${valid}`);
    const { code, stderr } = await check(['marked.json'], { INIT_CWD: join(folder, 'here') });
    expect([code, stderr]).toEqual([0, '']);
  });

  test.each([
    ['no file', [], /^Name the config file\./],
    ['an empty word', [''], /^Name the config file\./],
    ['two files', [odd, odd], /^Did not expect "docs/],
    ['an unknown option', ['--all', odd], /^Unknown option '--all'/],
    ['phase 9', [odd, '--phase', '9'], /^There is no phase "9"\. The phases are: 1 /],
    ['phase 0', [odd, '--phase', '0'], /^Phase 0 is the plugin as it comes/],
    ['a missing file', ['no-such.json'], /^There is no file no-such\.json\. Next: /],
    ['a file in a file', [`${odd}/inside`], /^(?:There is no file|Cannot read) docs.*inside/],
    ['a folder', ['docs'], /^docs is a folder\. Next: /],
    ['a name that no system has', ['x'.repeat(5_000)], /^(?:There is no file|Cannot read) x+/],
  ])('refuses %s with the reason', async (_, words, reason) => {
    const { code, stdout, stderr } = await check(words);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(reason);
    expect(stderr).not.toMatch(/\n +at /);
  });

  test('does not read a huge file', async () => {
    const file = write('huge.json', '');
    truncateSync(file, 10_000_001);
    const { code, stderr } = await check([file]);
    expect([code, stderr]).toEqual([1, expect.stringContaining(`${file} has 10000001 bytes.`)]);
  });

  test.skipIf(process.platform === 'win32')('does not wait for a pipe', async () => {
    const pipe = join(folder, 'pipe');
    expect(spawnSync('mkfifo', [pipe]).status).toBe(0);
    const { code, stderr } = await check([pipe]);
    expect(code).toBe(1);
    expect(stderr).toContain(`${pipe} is not a regular file.`);
  });

  test('--help prints the usage', async () => {
    const { code, stdout } = await check(['--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('npm run check-config -- FILE [options]');
  });
});

describe('what is odd', () => {
  const digest = 'a'.repeat(64);
  const plain: GatewayFile = {
    services: { orders: { url: 'http://127.0.0.1:4002', timeoutMs: 60_000 } },
    routes: [{ prefix: '/api/orders', service: 'orders', access: 'protected' }],
    clients: [{ id: 'app', keySha256: ['b'.repeat(64)] }],
    trustedProxies: ['10.0.0.0/8', '192.0.2.1', 'fc00::/7', '2001:db8::/32', '::ffff:10.0.0.0/104', '::1'],
    rateLimit: { identified: { limit: 60, windowMs: 60_000 }, anonymous: { limit: 60, windowMs: 60_000 } },
    circuitBreaker: { failureThreshold: 3, cooldownMs: 60_000 },
  };
  const fieldsOf = (changes: Partial<GatewayFile>) =>
    findOddities({ ...plain, ...changes }, new Set([digest])).map(({ field }) => field);

  test('is nothing at the limits, nor in the sections that an earlier phase lacks', () => {
    expect(fieldsOf({})).toEqual([]);
    const { services } = plain;
    expect(findOddities({ services, routes: [{ prefix: '/a', service: 'orders' }] }, new Set())).toEqual([]);
  });

  const orders = (timeoutMs: number) => ({ orders: { url: 'http://127.0.0.1:4002', timeoutMs } });
  const slow = { limit: 59, windowMs: 60_000 };
  const fast = { limit: 61, windowMs: 60_000 };
  const longCooldown = { failureThreshold: 3, cooldownMs: 90_000 };
  test.each<[string, Partial<GatewayFile>, string[]]>([
    [
      'a service without a route',
      { services: { ...orders(1_000), constructor: { url: 'http://a', timeoutMs: 1 } } },
      ['services.constructor'],
    ],
    [
      'a timeout over 60 s',
      { services: orders(60_001), circuitBreaker: longCooldown },
      ['services.orders.timeoutMs'],
    ],
    ['a protected route without clients', { clients: [] }, ['routes[0].access']],
    [
      'a demo key',
      { clients: [{ id: 'app', keySha256: ['c'.repeat(64), digest] }] },
      ['clients[0].keySha256[1]'],
    ],
    [
      'half of IPv4',
      { trustedProxies: ['0.0.0.0/1', '128.0.0.0/1'] },
      ['trustedProxies[0]', 'trustedProxies[1]'],
    ],
    ['half of IPv4 in IPv6', { trustedProxies: ['::ffff:0.0.0.0/97'] }, ['trustedProxies[0]']],
    [
      'blocks of public IPv6 addresses',
      { trustedProxies: ['2000::/3', 'fe80::/10', '2001::/15'] },
      ['trustedProxies[0]', 'trustedProxies[2]'],
    ],
    [
      'a limit under one per second',
      { rateLimit: { identified: slow, anonymous: slow } },
      ['rateLimit.identified', 'rateLimit.anonymous'],
    ],
    [
      'a limit that is higher without a key',
      { rateLimit: { identified: { limit: 60, windowMs: 60_000 }, anonymous: fast } },
      ['rateLimit.anonymous'],
    ],
    [
      'a cooldown shorter than a timeout',
      { circuitBreaker: { failureThreshold: 3, cooldownMs: 59_999 } },
      ['circuitBreaker.cooldownMs'],
    ],
  ])('is %s', (_, changes, fields) => {
    expect(fieldsOf(changes)).toEqual(fields);
  });

  test('is said with the figures of the config', () => {
    const [{ why = '' } = {}] = findOddities(
      { ...plain, circuitBreaker: { failureThreshold: 3, cooldownMs: 1_500 } },
      new Set(),
    );
    expect(why).toContain('services.orders.timeoutMs');
    expect(why).toMatch(/wait for 60 s .* only 1\.5 s\.$/);
  });

  test('is what docs/config.md says of its example', () => {
    const found = findOddities(JSON.parse(readText(join(root, odd))), new Set([digest])).map(
      ({ field }) => field,
    );
    expect(found).toEqual([
      'services.carts',
      'services.orders.timeoutMs',
      'routes[0].access',
      'trustedProxies[0]',
      'rateLimit.identified',
      'rateLimit.anonymous',
      'circuitBreaker.cooldownMs',
    ]);
  });
});
