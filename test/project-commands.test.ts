import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import manifest from '../package.json' with { type: 'json' };
import { buildHistory, listIds } from '../shared/kit/history/phase-history.ts';
import { buildProject } from '../shared/kit/project/files.ts';
import type { Lockfile } from '../shared/kit/project/lockfile.ts';
import { findVariables } from '../shared/kit/project/readme.ts';
import { isHealthy } from '../shared/process/ask.ts';
import { findPorts } from '../shared/process/ports.ts';
import { becomesReady } from '../shared/process/program.ts';
import { findImports, packageOf } from '../shared/repository/imports.ts';
import { readPhaseFiles, readText } from '../shared/repository/phase-files.ts';
import { readLock } from '../shared/repository/phase-hash.ts';
import { listPhaseFolders, type Phase, root } from '../shared/repository/phases.ts';
import { findScripts } from './support/document.ts';
import { startProcess } from './support/processes.ts';
import { everything, makeSandbox, openSandbox, type Sandbox } from './support/sandbox.ts';

const phases = listPhaseFolders();
const newest = phases.at(-1) as Phase;
const hasGit = spawnSync('git', ['--version']).status === 0;

describe('a phase as a project of its own', () => {
  for (const phase of phases) {
    const project = buildProject(phase);
    const files = readPhaseFiles(phase.folder);
    const read = (path: string) => project.get(path) ?? '';
    const json = JSON.parse(read('package.json'));
    const lockfile: Lockfile = JSON.parse(read('package-lock.json'));
    const repository: Lockfile = JSON.parse(readText(join(root, 'package-lock.json')));

    describe(phase.name, () => {
      test('has the code and the config of the phase, and what a project needs around them', () => {
        for (const [path, text] of files) if (path !== 'README.md') expect(read(path)).toBe(text);
        const around = [
          '.dockerignore',
          '.gitattributes',
          '.gitignore',
          '.nvmrc',
          'Dockerfile',
          'LICENSE',
          'README.md',
        ];
        const npm = ['package-lock.json', 'package.json', 'tsconfig.json'];
        expect([...project.keys()]).toEqual([...new Set([...files.keys(), ...around, ...npm])].sort());
      });

      test('names the packages it imports and tsx, in the versions of the repository, and no other', () => {
        const sources = [...files].filter(([path]) => path.endsWith('.ts')).map(([, text]) => text);
        const imported = sources.flatMap(findImports).flatMap((specifier) => packageOf(specifier) ?? []);
        const expected = [...new Set([...imported, 'tsx'])].sort();
        expect(Object.keys(json.dependencies)).toEqual(expected);
        expect(manifest.dependencies).toMatchObject(json.dependencies);
        expect(manifest.devDependencies).toMatchObject(json.devDependencies);
        expect(Object.keys(json.devDependencies)).toEqual(
          expect.arrayContaining(['@types/node', 'typescript']),
        );
      });

      test('has a lockfile that is part of the one of the repository, and whole', () => {
        const { '': project, ...packages } = lockfile.packages;
        expect(project).toMatchObject({
          dependencies: json.dependencies,
          devDependencies: json.devDependencies,
        });
        for (const [path, { dev: _, optional: __, devOptional: ___, peer: ____, ...entry }] of Object.entries(
          packages,
        )) {
          expect(repository.packages[path]).toMatchObject(entry);
        }
        const missing = Object.entries(lockfile.packages).flatMap(([path, { dependencies = {} }]) =>
          Object.keys(dependencies).filter((name) => !isFound(lockfile, path, name)),
        );
        expect(missing).toEqual([]);
        expect(Object.keys(packages).filter((path) => /vitest|biome/.test(path))).toEqual([]);
      });

      test('has a README that calls only its own scripts, leads nowhere else, and explains every variable', () => {
        const readme = read('README.md');
        expect(findScripts(readme).filter((name) => !(name in json.scripts))).toEqual([]);
        expect(readme.match(/\]\((?!https?:)/g)).toBeNull();
        const variables = findVariables(files);
        expect(variables).toContain('PORT');
        for (const name of variables)
          expect(readme).toMatch(new RegExp(`^\\| \`${name}\` \\| \\S.* \\| \\S.* \\|$`, 'm'));
        expect(readme).toContain(/\*\*.*?\*\*/.exec(files.get('README.md') ?? '')?.[0]);
      });
    });
  }

  test('npm run export writes it, and it runs with nothing but the packages of its lockfile', async () => {
    const sandbox = makeSandbox({}, everything);
    // Next to the sandbox. Inside it, Node would find the packages of the repository.
    const folder = join(dirname(sandbox.folder), 'out', 'my gateway');
    const { code, stdout } = await sandbox.run('export', [String(newest.number), '../out/my gateway'], {
      INIT_CWD: sandbox.folder,
    });
    expect(code).toBe(0);
    expect(stdout).toContain(
      `${newest.name} was written to ${folder}: ${buildProject(newest).size} files.\nNext:\n`,
    );
    expect(stdout).toContain(`  cd "${join('..', 'out', 'my gateway')}"\n  npm install\n  npm start`);
    expect(readdirSync(folder).sort()).toEqual([...buildProject(newest).keys()].sort());
    for (const [path, text] of buildProject(newest))
      expect(readFileSync(join(folder, path), 'utf8')).toBe(text);

    const { packages }: Lockfile = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8'));
    for (const [path, { dev }] of Object.entries(packages)) {
      // Packages that are not installed are optional ones, for other systems.
      if (path === '' || dev || !existsSync(join(root, path))) continue;
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      const nested = join(root, path, 'node_modules');
      cpSync(join(root, path), join(folder, path), { recursive: true, filter: (from) => from !== nested });
    }
    await expectStart(folder);
  });

  test('npm run export refuses a folder that is not empty, a file, and what it does not know', async () => {
    const sandbox = makeSandbox({ 'full/note.txt': 'mine', 'phases/1-first/server.ts': '' });
    const here = { INIT_CWD: sandbox.folder };
    const full = await sandbox.run('export', ['1', 'full'], here);
    expect([full.code, full.stdout]).toEqual([1, '']);
    expect(full.stderr).toBe(
      `${join(sandbox.folder, 'full')} is not empty: it contains note.txt. ` +
        'Name a folder that is empty or does not exist yet. Nothing was written.\n',
    );
    expect(readdirSync(join(sandbox.folder, 'full'))).toEqual(['note.txt']);
    expect((await sandbox.run('export', ['1', 'full/note.txt'], here)).stderr).toContain(
      'is a file, not a folder.',
    );
    expect((await sandbox.run('export', ['1'])).stderr).toContain('Name a phase and a folder.');
    expect((await sandbox.run('export', ['9', 'x'], here)).stderr).toContain('There is no phase "9".');
    sandbox.write('phases/1-first/server.ts', "import 'left-pad';\n");
    const foreign = await sandbox.run('export', ['1', 'new'], here);
    expect(foreign.stderr).toBe('1-first imports "left-pad", which is not a dependency in package.json.\n');
    expect(existsSync(join(sandbox.folder, 'new'))).toBe(false);
  });
});

test('phases.lock.json records the ids of the tags', () => {
  const next = `The ids have changed. Next: npm run freeze -- ${newest.number}`;
  expect(listIds(buildHistory(phases)), next).toEqual(readLock().tags);
});

describe('npm run tags', { skip: !hasGit }, () => {
  const ids = readLock().tags;
  const names = phases.map(({ number }) => `phase-${number}`);
  const commit = async (sandbox: Sandbox) => {
    // In the sandbox node_modules is a link, which the pattern node_modules/ in .gitignore does not match.
    sandbox.write('.git/info/exclude', 'node_modules\n');
    for (const words of [
      ['init', '-q'],
      ['add', '-A'],
      ['commit', '-q', '-m', 'all'],
    ]) {
      expect((await sandbox.git(...words)).code).toBe(0);
    }
  };
  const output = async (sandbox: Sandbox, ...words: string[]) => (await sandbox.git(...words)).stdout.trim();

  test('makes the recorded history: in a full clone, a shallow one, and one with CRLF', async () => {
    const origin = makeSandbox({}, everything);
    // Without .gitattributes, autocrlf changes the line ends.
    rmSync(join(origin.folder, '.gitattributes'));
    await commit(origin);
    const url = pathToFileURL(origin.folder).href;
    for (const options of [
      ['--depth', '1', url, 'shallow'],
      ['--no-checkout', url, 'crlf'],
    ]) {
      expect((await origin.git('clone', '-q', ...options)).code).toBe(0);
    }
    const crlf = join(origin.folder, 'crlf');
    spawnSync('git', ['-c', 'core.autocrlf=true', 'checkout', '-q', '--force', 'HEAD'], { cwd: crlf });
    const clones = [origin, openSandbox(join(origin.folder, 'shallow')), openSandbox(crlf)];
    for (const { folder } of clones) cpSync(join(root, '.gitattributes'), join(folder, '.gitattributes'));
    expect(clones[2]?.read(`phases/${newest.name}/gateway.ts`)).toContain('\r\n');
    expect(clones[2]?.read('LICENSE')).toContain('\r\n');
    expect(await output(clones[1] as Sandbox, 'rev-parse', '--is-shallow-repository')).toBe('true');

    for (const sandbox of clones) {
      const { code, stdout, stderr } = await sandbox.run('tags');
      expect(stderr).toBe('');
      expect(code).toBe(0);
      for (const { number, name } of phases) {
        expect(stdout).toMatch(new RegExp(`^ {2}phase-${number} {2}[\\da-f]{12} {2}new +${name}$`, 'm'));
      }
      expect(stdout).toContain(`  git worktree add ../phase-${newest.number} phase-${newest.number} `);
      for (const [name, { tag, commit }] of Object.entries(ids)) {
        expect(await output(sandbox, 'rev-parse', name)).toBe(tag);
        expect(await output(sandbox, 'rev-parse', `${name}^{commit}`)).toBe(commit);
      }
      expect(await output(sandbox, 'fsck', '--strict')).not.toMatch(/error|warning/);
    }
  });

  test('each tag is its phase as a project, one commit behind the next, phase 0 beside them, and a worktree runs', async () => {
    const sandbox = makeSandbox({}, everything);
    await commit(sandbox);
    await sandbox.run('tags');
    for (const [index, phase] of phases.entries()) {
      const name = names[index] ?? '';
      expect(await output(sandbox, 'cat-file', '-t', name)).toBe('tag');
      expect(await output(sandbox, 'rev-list', '--count', name)).toBe(String(Math.max(1, phase.number)));
      const listed = await output(sandbox, 'ls-tree', '-r', '--name-only', '-z', name);
      expect(listed.split('\0').filter(Boolean)).toEqual([...buildProject(phase).keys()]);
    }
    const shown = await sandbox.git('show', `${names.at(-1)}:README.md`);
    expect(shown.stdout).toBe(buildProject(newest).get('README.md'));
    expect(await output(sandbox, 'status', '--porcelain', '--ignore-submodules')).toMatch(
      /^(?:\?\? node_modules)?$/,
    );

    const folder = join(sandbox.folder, 'tree');
    expect((await sandbox.git('worktree', 'add', folder, names.at(-1) ?? '')).code).toBe(0);
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
    await expectStart(folder);
  });

  test('says what is unchanged, moves its own when a phase was frozen anew, and never a tag that it did not make', async () => {
    const sandbox = makeSandbox({}, everything);
    await commit(sandbox);
    const path = `phases/${newest.name}/gateway.ts`;
    sandbox.write(path, `${sandbox.read(path)}// changed\n`);
    const unrecorded = await sandbox.run('tags');
    expect(unrecorded.code).toBe(1);
    expect(unrecorded.stderr).toContain(`${newest.name} is not as recorded in phases/phases.lock.json`);
    expect(await output(sandbox, 'tag')).toBe('');

    await sandbox.git('checkout', '-q', path);
    await sandbox.git('tag', 'phase-2');
    await sandbox.git('tag', '-a', '-m', 'mine', 'phase-3');
    const refs = await output(sandbox, 'show-ref', '--tags');
    const foreign = await sandbox.run('tags');
    expect([foreign.code, foreign.stdout]).toEqual([1, '']);
    expect(foreign.stderr).toMatch(
      /^phase-2, phase-3: there is a tag of this name that npm run tags did not make\. Nothing was changed\./,
    );
    expect(await output(sandbox, 'show-ref', '--tags')).toBe(refs);

    await sandbox.git('tag', '-d', 'phase-2', 'phase-3');
    expect((await sandbox.run('tags')).code).toBe(0);
    expect((await sandbox.run('tags')).stdout.match(/ unchanged /g)).toHaveLength(phases.length);
    sandbox.write(path, `${sandbox.read(path)}// changed\n`);
    expect((await sandbox.run('freeze', [newest.name, '--why', 'a test'])).code).toBe(0);
    const { stdout } = await sandbox.run('tags');
    expect(stdout.match(/ unchanged /g)).toHaveLength(phases.length - 1);
    expect(stdout).toMatch(new RegExp(` moved +${newest.name}\n`));
    expect(await output(sandbox, 'show', `${names.at(-1)}:gateway.ts`)).toMatch(/\/\/ changed$/);
  });

  test('says what is missing outside a repository, and without git', async () => {
    const sandbox = makeSandbox({}, everything);
    const outside = await sandbox.run('tags', [], { LC_ALL: 'C' });
    expect(outside.code).toBe(1);
    expect(outside.stderr).toMatch(/^git rev-parse failed\. git says: .*not a git repository/);
    const without = await sandbox.run('tags', [], { PATH: 'none', Path: 'none' });
    expect(without.stderr).toContain('This command needs git');
  });

  test('npm run freeze records the ids anew when only what stands around the phases has changed', async () => {
    const sandbox = makeSandbox({}, everything);
    const lock = () => JSON.parse(sandbox.read('phases/phases.lock.json'));
    const before = lock();
    sandbox.write('LICENSE', 'another one\n');
    const { code, stdout } = await sandbox.run('freeze', ['1']);
    expect(code).toBe(0);
    expect(stdout).toContain('is as recorded. The ids of the tags have changed and were recorded.');
    const { tags, ...hashes } = lock();
    expect({ ...hashes, tags: before.tags }).toEqual(before);
    expect(Object.keys(tags)).toEqual(names);
    expect(Object.values(tags)).not.toEqual(Object.values(before.tags));
  });
});

/** True when a lockfile lists a folder in which Node finds a package from another package. */
function isFound({ packages }: Lockfile, from: string, name: string): boolean {
  const around = from === '' ? [''] : [from, ...parents(from), ''];
  return around.some((folder) => [folder, 'node_modules', name].filter(Boolean).join('/') in packages);
}

function parents(path: string): string[] {
  const end = path.lastIndexOf('/node_modules/');
  return end < 0 ? [] : [path.slice(0, end), ...parents(path.slice(0, end))];
}

/** Starts the project in a folder as `npm start` does, and stops it when GET /health answers 200. */
async function expectStart(folder: string): Promise<void> {
  const [port = 0, adminPort = 0] = await findPorts(0, 2);
  const env = { PORT: String(port), ADMIN_PORT: String(adminPort), GATEWAY_CONFIG: '', REDIS_URL: '' };
  const running = startProcess([process.execPath, '--import', 'tsx', 'server.ts'], env, folder);
  const isReady = await becomesReady(running, () => isHealthy(port), 25_000);
  running.child.kill('SIGKILL');
  await running.ended;
  expect(isReady, running.output()).toBe(true);
}
