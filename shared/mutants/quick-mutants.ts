import type { Mutant } from './mutant.ts';

// Against these files a mutant takes some seconds; the others wait for timeouts, windows and cooldowns.
const quickFiles = [
  '1-routing-headers',
  '1-routing-paths',
  '2-client-identity',
  '3-rate-limiting-addresses',
  '3-rate-limiting-instances',
];

/** Whether a mutant is tried by `npm test`, and not only by `npm run mutants`. */
export function isQuick({ fails }: Mutant): boolean {
  return fails.every(({ file }) => quickFiles.includes(file));
}
