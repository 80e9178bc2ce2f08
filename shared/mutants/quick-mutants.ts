import type { Mutant } from './mutant.ts';

// With these files a mutant takes some seconds. The others wait for timeouts, windows and cooldowns.
const quickFiles = [
  '1-routing-headers',
  '1-routing-paths',
  '2-client-identity',
  '3-rate-limiting-addresses',
  '3-rate-limiting-instances',
];

/** True for a mutant that `npm run mutants -- --quick` runs. */
export function isQuick({ fails }: Mutant): boolean {
  return fails.every(({ file }) => quickFiles.includes(file));
}
