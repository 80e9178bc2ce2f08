import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../repository/phases.ts';
import { runDocumented } from './command.ts';

/** The folders in the root folder that are not part of the repository. */
export const foreignFolders = [
  'node_modules',
  '.git',
  '.built',
  '.mutants',
  'workspace',
  'workspace-saves',
  'coverage',
];

// The documents show this path instead of the temporary folder.
const documentedHome = '/home/me';

/** Calls `use` with a function that runs documented commands in a fresh copy of the repository, without its history. */
export async function withCopy<T>(use: (run: typeof runDocumented) => Promise<T>): Promise<T> {
  const home = await realpath(await mkdtemp(join(tmpdir(), 'phased-gateway-')));
  const folder = join(home, 'gateway');
  try {
    await mkdir(folder);
    for (const name of await readdir(root)) {
      if (!foreignFolders.includes(name)) await cp(join(root, name), join(folder, name), { recursive: true });
    }
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
    spawnSync('git', ['init', '-q'], { cwd: folder });
    return await use(async (command, ports) => {
      const output = await runDocumented(command, ports, folder);
      return output
        .replaceAll(home, documentedHome)
        .replaceAll(/\/home\/me[\w.\\/-]*/g, (path) => path.replaceAll('\\', '/'));
    });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
