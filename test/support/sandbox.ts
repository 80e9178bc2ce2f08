import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from 'vitest';
import { root } from '../../shared/repository/phases.ts';

/** How a command ended, and what it printed. */
export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/** A separate repository in a temporary folder, with the real commands and with phases written for the test. */
export interface Sandbox {
  /** Absolute path. */
  readonly folder: string;
  read(path: string): string;
  write(path: string, text: string): void;
  /** Runs shared/cli/COMMAND.ts there, without colour unless the environment asks for it. */
  run(command: string, words?: string[], env?: Record<string, string>): Promise<Result>;
  git(...words: string[]): Promise<Result>;
}

const home = mkdtempSync(join(tmpdir(), 'gateway-test-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const settings = [
  'user.name=test',
  'user.email=test@localhost',
  'core.autocrlf=false',
  'commit.gpgsign=false',
];
const gitOptions = settings.flatMap((setting) => ['-c', setting]);

// The commands, and the rooms from which they import. Suites, mutants and drills are among the copies where a test needs them.
const rooms = [
  'shared/cli',
  'shared/kit',
  'shared/ladder',
  'shared/metrics',
  'shared/process',
  'shared/recordings',
].concat('shared/repository', 'shared/run', 'shared/terminal');

// The files of the root folder that the commands read.
const rootFiles = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'LICENSE',
  '.nvmrc',
  '.gitattributes',
];

/** Every file and folder that a learner sees: for sandboxes with the real phases, suites and documents. */
export const everything = ['phases', 'shared', 'docs', 'README.md', 'vitest.config.ts', '.gitignore'];

/** Makes a sandbox from texts by path, and copies of real paths. It is deleted after the tests of the file. */
export function makeSandbox(files: Record<string, string>, copies: string[] = []): Sandbox {
  const folder = mkdtempSync(join(home, 'sandbox-'));
  for (const path of [...rooms, ...rootFiles, ...copies]) {
    cpSync(join(root, path), join(folder, path), { recursive: true });
  }
  return openSandbox(folder, files);
}

/** Makes a sandbox from a folder that has the commands, such as a clone of another sandbox. */
export function openSandbox(folder: string, files: Record<string, string> = {}): Sandbox {
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');

  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const [path, text] of Object.entries(files)) write(path, text);

  const execute = (file: string, words: string[], env: Record<string, string> = {}) => {
    // vitest sets FORCE_COLOR. A git hook sets GIT_DIR and others, with which git would use another repository.
    const inherited = Object.entries(process.env).filter(([name]) => !/^(?:FORCE_COLOR$|GIT_)/.test(name));
    const all = { ...Object.fromEntries(inherited), GIT_CEILING_DIRECTORIES: home, ...env };
    return new Promise<Result>((resolve, reject) => {
      execFile(file, words, { cwd: folder, env: all }, (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        if (typeof code === 'number') resolve({ code, stdout, stderr });
        else reject(error);
      });
    });
  };
  return {
    read: (path) => readFileSync(join(folder, path), 'utf8'),
    write,
    folder,
    run: (command, words = [], env) =>
      execute(process.execPath, ['--import', 'tsx', `shared/cli/${command}.ts`, ...words], env),
    git: (...words) => execute('git', [...gitOptions, ...words]),
  };
}
