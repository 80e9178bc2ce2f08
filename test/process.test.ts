import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { isHealthy } from '../shared/process/ask.ts';
import { buildPhase } from '../shared/process/built-phase.ts';
import { freePort } from '../shared/process/ports.ts';
import { becomesReady, startProgram } from '../shared/process/program.ts';
import { until } from '../shared/process/until.ts';
import { root } from '../shared/repository/phases.ts';
import { startProcess } from './support/processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'gateway-process-'));
const folders = new Set([folder]);
afterAll(() => {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});

const node = (script: string) => startProcess([process.execPath, '-e', script]);
const forEver = 'setInterval(() => {}, 1000); console.log("started");';

describe('a program', () => {
  test('that does not exist is an error, and is not ready', async () => {
    const program = startProgram(['no-such-program']);
    expect(await becomesReady(program, () => Promise.reject(new Error('not yet')), 5_000)).toBe(false);
    await expect(program.ended).rejects.toThrow('ENOENT');
  });

  test('is not ready when it ends, or when the time is over', async () => {
    const port = await freePort();
    expect(await becomesReady(node(''), () => isHealthy(port), 20_000)).toBe(false);
    expect(await becomesReady(node(forEver), () => isHealthy(port), 100)).toBe(false);
  });

  test.skipIf(process.platform === 'win32')('is killed when it does not stop in time', async () => {
    const program = startProgram([process.execPath, '-e', `process.on('SIGTERM', () => {}); ${forEver}`]);
    await new Promise((resolve) => program.child.stdout?.once('data', resolve));
    expect(await program.stop(200)).toEqual({ code: null, signal: 'SIGKILL' });
  });

  test('ends with the process that has started it', async () => {
    const module = JSON.stringify(new URL('../shared/process/program.ts', import.meta.url).href);
    const script = `
      const { startProgram } = await import(${module});
      console.log(startProgram([process.execPath, '-e', ${JSON.stringify(forEver)}]).pid);
      process.exit();`;
    const parent = startProcess([process.execPath, '--import', 'tsx', '--input-type=module', '-e', script]);
    expect(await parent.ended, parent.output()).toBe(0);
    const pid = Number(parent.stdout());
    const isGone = () => {
      try {
        return !process.kill(pid, 0);
      } catch {
        return true;
      }
    };
    await until(isGone, 'the child has ended');
  });
});

describe('a built phase', () => {
  const build = () => {
    const server = buildPhase(folder);
    folders.add(dirname(server));
    return server;
  };

  test('does what its TypeScript does, with the files beside it', async () => {
    writeFileSync(
      join(folder, 'server.ts'),
      "import { type Word, read } from './read.ts';\nconst word: Word = read('word.txt');\nconsole.log(word);\n",
    );
    writeFileSync(
      join(folder, 'read.ts'),
      "import { readFileSync } from 'node:fs';\nimport { join } from 'node:path';\nexport type Word = string;\nexport const read = (name: string): Word => readFileSync(join(import.meta.dirname, name), 'utf8');\n",
    );
    writeFileSync(join(folder, 'word.txt'), 'first');
    const program = startProcess([process.execPath, build()]);
    expect(await program.ended, program.output()).toBe(0);
    expect(program.stdout()).toBe('first\n');
  });

  test('is built again when a file has changed, and only then', () => {
    const first = build();
    expect(build()).toBe(first);
    expect(first.startsWith(join(root, '.built'))).toBe(true);
    writeFileSync(join(folder, 'word.txt'), 'second');
    expect(build()).not.toBe(first);
  });

  test('is removed a day later, when its files have changed', () => {
    const first = dirname(build());
    const yesterday = Date.now() / 1_000 - 25 * 60 * 60;
    utimesSync(first, yesterday, yesterday);
    writeFileSync(join(folder, 'word.txt'), 'third');
    build();
    expect(existsSync(first)).toBe(false);
  });

  test('is not built from a file that does not compile', () => {
    writeFileSync(join(folder, 'server.ts'), 'const = 1;\n');
    expect(build).toThrow(/does not compile:\n.*server\.ts:1: /);
  });
});
