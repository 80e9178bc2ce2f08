import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { killGroup } from '../../process/program.ts';

/** Ends what has a file in this folder, named by its process id, and what inherited the name of the folder. */
export function killPrograms(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    killGroup(Number(name));
    kill(Number(name));
  }
  killHeirs(folder);
}

/**
 * Ends the programs that have this value of PROGRAMS_FOLDER in their environment. A child that has left the process group
 * of its gateway is found in this way, on Linux only.
 */
export function killHeirs(value: string): void {
  if (process.platform !== 'linux') return;
  for (const pid of readdirSync('/proc')) {
    if (/^\d+$/.test(pid) && environmentOf(pid).includes(`PROGRAMS_FOLDER=${value}`)) kill(Number(pid));
  }
}

function environmentOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  } catch {
    // It has ended, or belongs to another user.
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
