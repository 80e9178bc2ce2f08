import type { Mutant } from './mutant.ts';

// With these files a mutant takes some seconds. The others wait for timeouts, windows and cooldowns.
const quickFiles = [
  '1-routing/01-one-route',
  '1-routing/02-the-longest-prefix',
  '1-routing/03-path-and-query-byte-for-byte',
  '1-routing/05-fields-that-stop',
  '1-routing/06-fields-that-are-added',
  '1-routing/09-what-two-servers-could-read-in-two-ways',
  '2-client-identity/1-who-is-asking',
  '2-client-identity/2-who-may-call',
  '2-client-identity/3-what-stays-inside',
  '2-client-identity/4-a-config-that-is-wrong',
  '3-rate-limiting/2-whose-address',
  '3-rate-limiting/3-four-instances-one-count',
];

/** True for a mutant that `npm run mutants -- --quick` runs. */
export function isQuick({ fails }: Mutant): boolean {
  return fails.every(({ file }) => quickFiles.includes(file));
}
