import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { findPorts } from '../shared/process/ports.ts';
import { everything, makeSandbox, type Sandbox } from './support/sandbox.ts';

interface Examination {
  code: number;
  stdout: string;
  stderr: string;
}

/** `npm run doctor` without npm. */
function examine(
  { folder }: Sandbox,
  words: string[] = [],
  env: Record<string, string> = {},
): Promise<Examination> {
  const all = { ...process.env, REDIS_URL: '', ...env };
  return new Promise((resolve) => {
    const command = ['shared/cli/doctor.mjs', ...words];
    execFile(process.execPath, command, { cwd: folder, env: all }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

/** A sandbox whose newest phase has these ports. */
function makeRoom([gateway = 0, orders = 0]: number[]): Sandbox {
  return makeSandbox({
    'phases/1-first/config.ts': `const schema = {\n  PORT: z.coerce.number('x').int().default(${gateway}),\n};\n`,
    'phases/1-first/gateway.json': `{ "orders": { "url": "http://127.0.0.1:${orders}", "timeoutMs": 1 } }`,
  });
}

const line = (name: string, level: string) => new RegExp(`^ {2}${level} +${name} `, 'm');

test('finds nothing in the way where all is well, and leaves nothing behind', async () => {
  const ports = await findPorts(0, 2);
  const sandbox = makeRoom(ports);
  const { code, stdout, stderr } = await examine(sandbox);
  expect(stderr).toBe('');
  for (const name of ['Node', 'npm', 'packages', ...ports.map((port) => `port ${port}`)]) {
    expect(stdout).toMatch(line(name, 'ok'));
  }
  expect(stdout).toMatch(new RegExp(`port ${ports[0]} +free, for the gateway\n`));
  expect(stdout).toMatch(new RegExp(`port ${ports[1]} +free, for the demo service orders\n`));
  expect(stdout).toMatch(/file watching +changes are reported\n/);
  expect(stdout).toMatch(/\nThere is no problem\. Next: npm start\n$/);
  expect(code).toBe(0);
  expect(existsSync(join(sandbox.folder, 'workspace-saves'))).toBe(false);
});

test('knows the ports of the newest phase', async () => {
  const { stdout } = await examine(makeSandbox({}, everything));
  for (const port of [3000, 4001, 4002]) expect(stdout).toMatch(line(`port ${port}`, '(?:ok|problem)'));
});

test('calls an old Node, missing packages and a busy port problems, each with its cure', async () => {
  const [free = 0] = await findPorts(0, 1);
  const blocker = net.createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  const { port: busy } = blocker.address() as net.AddressInfo;
  const sandbox = makeRoom([busy, free]);
  const manifest = JSON.parse(sandbox.read('package.json'));
  manifest.engines.node = '>=99.1';
  manifest.dependencies['no-such-package'] = '1.0.0';
  sandbox.write('package.json', JSON.stringify(manifest));
  const { code, stdout } = await examine(sandbox);
  blocker.close();
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /problem +Node +\S+ is too old: 99\.1 or newer is needed\n +Get a newer one from https:/,
  );
  expect(stdout).toMatch(
    /problem +packages +1 of \d+ are not .*: no-such-package is missing, not 1\.0\.0\n +npm ci\n/,
  );
  expect(stdout).toMatch(
    new RegExp(`problem +port ${busy} +in use, and the gateway needs it\n +Stop what listens there`),
  );
  expect(stdout).toMatch(
    /\n3 problems\. Next: follow the instructions above, then npm run doctor again\.\n$/,
  );
});

test('calls missing tools notes, except npm', async () => {
  // Node itself is started by its path. If npm is in the same folder, it is found.
  const bare = { PATH: join(dirname(process.execPath), 'none') };
  const { code, stdout } = await examine(makeRoom(await findPorts(0, 2)), [], { ...bare, Path: bare.PATH });
  expect(code).toBe(1);
  expect(stdout).toMatch(line('npm', 'problem'));
  for (const name of ['git', 'curl', 'redis-server']) {
    expect(stdout).toMatch(new RegExp(`^ {2}note +${name} +not on PATH: .*\n +\\S`, 'm'));
  }
  expect(stdout).toMatch(/\n1 problem\. Next:/);
});

test('looks whether the Redis of REDIS_URL is there, and never shows its password', async () => {
  const [dead = 0, ...ports] = await findPorts(0, 3);
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const sandbox = makeRoom(ports);
  const alive = await examine(sandbox, [], { REDIS_URL: `redis://:secret@127.0.0.1:${port}` });
  expect(alive.stdout).toContain(`127.0.0.1:${port} accepts connections\n`);
  server.close();
  const gone = await examine(sandbox, [], { REDIS_URL: `redis://:secret@127.0.0.1:${dead}` });
  expect(gone.code).toBe(1);
  expect(gone.stdout).toMatch(/problem +REDIS_URL +127\.0\.0\.1:\d+: ECONNREFUSED\n +Start it/);
  const odd = await examine(sandbox, [], { REDIS_URL: 'secret' });
  expect(odd.stdout).toMatch(/problem +REDIS_URL +is not a URL\n/);
  expect(alive.stdout + gone.stdout + odd.stdout).not.toContain('secret');
});

test('runs without any package, from anywhere, and refuses words', async () => {
  const sandbox = makeRoom(await findPorts(0, 2));
  const env = { ...process.env, PATH: `${process.env.PATH ?? ''}${delimiter}` };
  const help = await examine(sandbox, ['--help'], { NODE_PATH: '', PATH: env.PATH });
  expect(help.code).toBe(0);
  expect(help.stdout).toContain('npm run doctor');
  const word = await examine(sandbox, ['now']);
  expect([word.code, word.stdout]).toEqual([1, '']);
  expect(word.stderr).toContain('Did not expect "now".');
  expect(sandbox.read('shared/cli/doctor.mjs')).not.toMatch(/from '(?!node:)/);
});
