import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { hashPhase } from '../repository/phase-hash.ts';
import { root } from '../repository/phases.ts';
import { CliError } from '../terminal/cli-error.ts';

// In the repository, so that the built phases find its packages. Git ignores it.
const builtFolder = join(root, '.built');

const compilerOptions = {
  noEmit: false,
  noCheck: true,
  noResolve: true,
  types: [],
  inlineSourceMap: true,
  rewriteRelativeImportExtensions: true,
};

/**
 * Builds a phase as JavaScript, unless that was done before for the same files, and returns the path of its server.js.
 * Suites start hundreds of gateways, and tsx takes most of each start.
 */
export function buildPhase(folder: string): string {
  const hash = createHash('sha256').update(hashPhase(folder) + JSON.stringify(compilerOptions));
  const built = join(builtFolder, `${basename(folder)}-${hash.digest('hex').slice(0, 16)}`);
  if (!existsSync(built)) build(folder, built);
  return join(built, 'server.js');
}

function build(folder: string, built: string): void {
  mkdirSync(builtFolder, { recursive: true });
  const copy = mkdtempSync(join(builtFolder, 'new-'));
  try {
    cpSync(folder, copy, { recursive: true });
    const report = compile(copy);
    if (report !== '') throw new CliError(`${basename(folder)} does not compile:\n${report}`);
    renameSync(copy, built); // in one step, so that no other process sees half of it
  } catch (error) {
    // Another process may have built the same meanwhile.
    if (!existsSync(built)) throw error;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/**
 * Compiles the TypeScript files of a folder to JavaScript beside them, without a check of types. Returns the report of
 * the compiler, '' when there is no error.
 */
export function compile(folder: string): string {
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions, include: ['.'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { status, stdout, stderr } = spawnSync(process.execPath, [compiler, '-p', folder], {
    encoding: 'utf8',
  });
  return status === 0 ? '' : stdout + stderr;
}
