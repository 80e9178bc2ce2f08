import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { type BuildFailure, type BuildOptions, buildSync, version } from 'esbuild';
import { hashPhase } from '../repository/phase-hash.ts';
import { root } from '../repository/phases.ts';
import { CliError } from '../terminal/cli-error.ts';

// In the repository, so that a built phase finds the packages that are not in its bundle. Git ignores it.
const builtFolder = join(root, '.built');

const dayMs = 24 * 60 * 60 * 1_000;

const options: BuildOptions = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: true,
  // Only a gateway without REDIS_URL loads it.
  external: ['ioredis-mock'],
  // CommonJS packages in the bundle call require() for modules of Node.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
  logLevel: 'silent',
};

/**
 * Builds a phase as JavaScript, unless that was done before for the same files, and returns the path of its server.js.
 * Suites start hundreds of gateways, and loading tsx, sources and packages takes most of each start.
 */
export function buildPhase(folder: string): string {
  const hash = createHash('sha256').update(hashPhase(folder) + JSON.stringify(options) + version);
  const built = join(builtFolder, `${basename(folder)}-${hash.digest('hex').slice(0, 16)}`);
  if (!existsSync(built)) build(folder, built);
  return join(built, 'server.js');
}

function build(folder: string, built: string): void {
  mkdirSync(builtFolder, { recursive: true });
  const copy = mkdtempSync(join(builtFolder, 'new-'));
  try {
    cpSync(folder, copy, { recursive: true });
    const report = bundleServer(copy);
    if (report !== '') throw new CliError(`${basename(folder)} does not compile:\n${report}`);
    renameSync(copy, built); // in one step, so that no other process sees half of it
    removeOldBuilds(basename(folder));
  } catch (error) {
    // Another process may have built the same meanwhile.
    if (!existsSync(built)) throw error;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Removes the builds of a phase that are older than a day: those of files that have changed since. */
function removeOldBuilds(name: string): void {
  for (const entry of readdirSync(builtFolder).filter((other) => other.startsWith(`${name}-`))) {
    const build = join(builtFolder, entry);
    const builtMs = statSync(build, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (builtMs < Date.now() - dayMs) rmSync(build, { recursive: true, force: true });
  }
}

/**
 * Writes server.js beside the server.ts of a folder: one file with the packages in it, without a check of types. Returns
 * the errors, '' when there is none.
 */
export function bundleServer(folder: string): string {
  try {
    buildSync({ ...options, entryPoints: [join(folder, 'server.ts')], outfile: join(folder, 'server.js') });
    return '';
  } catch (error) {
    const { errors = [] } = error as Partial<BuildFailure>;
    if (errors.length === 0) throw error;
    return errors.map(({ text, location }) => `${location?.file}:${location?.line}: ${text}`).join('\n');
  }
}
