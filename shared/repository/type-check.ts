import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { listPhaseFolders, root } from './phases.ts';

/**
 * Checks the types of shared/ and test/ in one program, and of each phase alone. In one program, a file of phase 1 could
 * read a field that only phase 5 declares. Returns a report for each program, '' where there is no error.
 */
export function checkAllTypes(): Promise<string[]> {
  return Promise.all([root, ...listPhaseFolders().map(({ folder }) => folder)].map(checkTypes));
}

/** Runs the TypeScript compiler with the tsconfig.json of a folder. Returns its report, '' when there is no error. */
export function checkTypes(folder: string): Promise<string> {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  return new Promise((resolve) => {
    execFile(process.execPath, [compiler, '--noEmit', '-p', folder], { cwd: root }, (error, stdout, stderr) =>
      resolve(error ? stdout + stderr : ''),
    );
  });
}
