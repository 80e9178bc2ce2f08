import { CliError } from './cli-error.ts';

/** The whole number given to an option, or `fallback` when it was not given. */
export function readNumber(
  option: string,
  value: string | undefined,
  fallback: number,
  [min, max]: [number, number],
): number {
  if (value === undefined) return fallback;
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= min && number <= max) return number;
  throw new CliError(`--${option} takes a whole number from ${min} to ${max}, not "${value}".`);
}

/** The port given to an option; 0 means any free one. */
export function readPort(option: string, value: string | undefined, fallback: number): number {
  return readNumber(option, value, fallback, [0, 65535]);
}

/** Throws a CliError for a word that the command does not take. */
export function refuseWords(usage: string, [word]: string[]): void {
  // "npm run phase:1 --port 3100" lacks the "--": npm takes the option for itself and passes on only its value.
  if (word)
    throw new CliError(`Did not expect "${word}". Options of an npm script go after "--".\n\n${usage}`);
}
