import { shorten } from './curl.ts';

// Stack frames of Node and of packages, and the line with Node's version. They hide the line that matters.
const noise = /^\s+at .*(?:node_modules|node:)|^Node\.js v/;

/** The lines of an output that say why a program ended: at most `most`, and one for what is left out between them. */
export function lastWords(output: string, most: number): string[] {
  const lines = output.split('\n').filter((line) => line.trim() && !noise.test(line));
  // Some programs print the error first, others last: both ends of a long output are kept.
  const end = Math.floor(most / 3);
  const shown = lines.length > most ? [...lines.slice(0, most - end), '…', ...lines.slice(-end)] : lines;
  return shown.map((line) => shorten(line));
}
