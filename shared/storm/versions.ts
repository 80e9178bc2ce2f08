import { spawnSync } from 'node:child_process';

const options = { 'redis-server': '--version', haproxy: '-v', nginx: '-v' };

/** A program that storms use. */
export type StormTool = keyof typeof options;

/** The version of a program, or `not found`. */
export function versionOf(program: StormTool): string {
  const { status, stdout, stderr } = spawnSync(program, [options[program]], { encoding: 'utf8' });
  if (status !== 0) return 'not found';
  return /\d+\.\d+\.\d+/.exec(stdout + stderr)?.[0] ?? 'unknown version';
}

/** Which of the programs are missing, in words; undefined when all are there. */
export function lackOf(...programs: StormTool[]): string | undefined {
  const missing = programs.filter((program) => versionOf(program) === 'not found');
  if (missing.length === 0) return undefined;
  const verb = missing.length > 1 ? 'are' : 'is';
  return `${missing.join(' and ')} ${verb} not on PATH (Debian: apt-get install ${missing.join(' ')})`;
}
