import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';
import { freePort } from '../../process/ports.ts';
import { until } from '../../process/until.ts';
import { send } from './client.ts';

/** True when nginx is on PATH; with CI=true its absence is an error. */
export const nginxAvailable = findNginx();

/** An nginx that answers every request with 200. */
export interface Nginx {
  readonly url: string;
  /** Runs `nginx -s reload` and waits until a new worker answers. */
  reload(): Promise<void>;
}

const run = promisify(execFile);
const processes = new Map<ChildProcess, string>();

// SIGTERM, because workers survive a SIGKILL of their master process.
function endAll(): void {
  for (const child of processes.keys()) child.kill('SIGTERM');
}

process.once('exit', endAll);

afterAll(async () => {
  endAll();
  await until(() => processes.size === 0, 'every nginx has ended');
});

/** Starts nginx on a free port of 127.0.0.1. */
export async function startNginx(): Promise<Nginx> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'gateway-contract-nginx-'));
  const file = join(folder, 'nginx.conf');
  // Users other than root cannot write to the default folders for temporary files.
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path temp;`,
  );
  writeFileSync(
    file,
    `daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {}
http {
  access_log off;
  ${temporary.join(' ')}
  server {
    listen 127.0.0.1:${port};
    location / { return 200 $pid; }
  }
}
`,
  );
  const args = ['-p', folder, '-c', file, '-e', join(folder, 'error.log')];
  const child = spawn('nginx', args, { stdio: 'ignore' });
  processes.set(child, folder);
  child.once('exit', () => {
    processes.delete(child);
    rmSync(folder, { recursive: true, force: true });
  });
  const worker = async () => (await send({ host: '127.0.0.1', port }, '/')).text;
  const answers = () => worker().then(Boolean, () => false);
  await until(answers, `nginx answers on port ${port}`);
  return {
    url: `http://127.0.0.1:${port}`,
    async reload() {
      const before = await worker();
      await run('nginx', [...args, '-s', 'reload']);
      await until(async () => (await worker()) !== before, 'a new worker of nginx answers');
    },
  };
}

function findNginx(): boolean {
  const found = spawnSync('nginx', ['-v'], { stdio: 'ignore', windowsHide: true }).status === 0;
  if (!found && process.env.CI === 'true') {
    throw new Error('nginx is not on PATH. Install it (Debian: apt-get install nginx).');
  }
  return found;
}
