import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { CliError } from '../terminal/cli-error.ts';

// /proc counts CPU time in ticks of USER_HZ: 100 per second on every Linux that Node runs on.
const tickUs = 10_000;

/** CPU time of a process so far, user and system, all its threads, in microseconds (Linux: in steps of 10 ms). */
export function cpuMicroseconds(pid: number): number {
  if (process.platform !== 'linux') return parsePsTime(ps(pid, 'time'));
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The program name in brackets may contain any character. utime and stime are the 12th and 13th field after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickUs;
}

/** Resident memory of a process in bytes, now and at its peak. Outside Linux, ps does not report the peak: both are equal. */
export function memoryBytes(pid: number): { now: number; peak: number } {
  if (process.platform !== 'linux') {
    const now = Number(ps(pid, 'rss')) * 1024;
    return { now, peak: now };
  }
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
  return { now: field('VmRSS'), peak: field('VmHWM') };
}

/** The `[[days-]hours:]minutes:seconds[.hundredths]` of ps, in microseconds. */
export function parsePsTime(text: string): number {
  const [clock = '', days = '0'] = text.trim().split('-').reverse();
  const seconds = clock.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  return Math.round((Number(days) * 86_400 + seconds) * 1e6);
}

function ps(pid: number, field: string): string {
  const { stdout, error } = spawnSync('ps', ['-o', `${field}=`, '-p', String(pid)], { encoding: 'utf8' });
  if (error)
    throw new CliError(
      'The benchmark reads CPU time from /proc or ps, and this machine has neither. On Windows, run it in WSL.',
    );
  return stdout;
}
