import { spawnSync } from 'node:child_process';

/** Programs that tests start, each with the Debian package that contains it. */
const packages = { curl: 'curl', haproxy: 'haproxy', prometheus: 'prometheus', promtool: 'prometheus' };

/**
 * True when all these programs are on PATH. When one is missing, it prints what is skipped; with CI=true it throws
 * an Error.
 */
export function arePresent(...names: Array<keyof typeof packages>): boolean {
  const missing = names.filter((name) => !isPresent(name));
  if (missing.length === 0) return true;
  const cure = `Install it (Debian: apt-get install ${[...new Set(missing.map((name) => packages[name]))].join(' ')}).`;
  if (process.env.CI === 'true') throw new Error(`${missing.join(', ')} is not on PATH. ${cure}`);
  console.log(`Skipped: the tests that need ${missing.join(', ')}, which is not on PATH. ${cure}`);
  return false;
}

function isPresent(name: string): boolean {
  const option = name === 'haproxy' ? '-v' : '--version';
  return spawnSync(name, [option], { stdio: 'ignore' }).status === 0;
}
