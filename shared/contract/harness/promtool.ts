import { spawn, spawnSync } from 'node:child_process';

/** True when promtool is on PATH; with CI=true its absence is an error. */
export const promtoolAvailable = findPromtool();

/** Runs `promtool check metrics` on a scrape. Its complaints are in `output`. */
export function checkMetrics(text: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('promtool', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk;
      });
    }
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
    child.stdin.end(text);
  });
}

function findPromtool(): boolean {
  const found = spawnSync('promtool', ['--version'], { stdio: 'ignore' }).status === 0;
  if (!found && process.env.CI === 'true') {
    throw new Error('promtool is not on PATH. Install it (Debian: apt-get install prometheus).');
  }
  return found;
}
