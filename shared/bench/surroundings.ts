import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type BenchProcess, scratch, startBenchProcess, untilReady } from '../process/bench-process.ts';
import { onPath } from '../process/on-path.ts';
import { freePort } from '../process/ports.ts';

/** What all subjects share: two services to forward to, and one Redis. */
export interface BenchSurroundings {
  /** Answers GET /200, /1024, /65536 and /10485760 with that many bytes: nginx, or the Node service. */
  fastUrl: string;
  /** The Node service: takes uploads, and answers /slow after 500 ms. */
  nodeUrl: string;
  fastIsNginx: boolean;
  /** Null where no redis-server is on PATH: then the phases from the third on are left out. */
  redis: { url: string; pid: number } | null;
  /** The processes of the services and of Redis. The end of the benchmark kills them. */
  services: BenchProcess[];
}

/** Starts the services and Redis. */
export async function prepareSurroundings(): Promise<BenchSurroundings> {
  const node = await startNode();
  const nginx = onPath('nginx') ? await startNginxService() : null;
  const redis = onPath('redis-server') ? await startRedis() : null;
  return {
    fastUrl: (nginx ?? node).url,
    nodeUrl: node.url,
    fastIsNginx: nginx !== null,
    redis: redis && { url: redis.url, pid: redis.running.pid },
    services: [node, nginx, redis].flatMap((service) => service?.running ?? []),
  };
}

interface Service {
  url: string;
  running: BenchProcess;
}

async function startNode(): Promise<Service> {
  const port = await freePort();
  const script = join(import.meta.dirname, 'bare-upstream.ts');
  const env = { PORT: String(port), NODE_ENV: 'production' };
  const running = startBenchProcess({ words: ['node', '--import', 'tsx', script], env });
  await accepts(port, running);
  return { url: `http://127.0.0.1:${port}`, running };
}

async function startNginxService(): Promise<Service> {
  const port = await freePort();
  const folder = join(scratch, 'service');
  mkdirSync(folder, { recursive: true });
  for (const bytes of [1024, 65_536, 10_485_760])
    writeFileSync(join(folder, String(bytes)), 'x'.repeat(bytes));
  const server = `
    root ${folder};
    location = /200 { default_type text/plain; return 200 "${'x'.repeat(200)}"; }`;
  const running = startBenchNginx('service', port, server);
  await accepts(port, running);
  return { url: `http://127.0.0.1:${port}`, running };
}

/** Starts an nginx of one process with the given content of its server and http blocks. */
export function startBenchNginx(
  name: string,
  port: number,
  server: string,
  http = '',
  core?: number,
): BenchProcess {
  const folder = join(scratch, `nginx-${name}`);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `  ${kind}_temp_path ${join(folder, kind)};`,
  );
  writeFileSync(
    file,
    `# One process, because a worker could outlive its master.
daemon off;
master_process off;
pid ${join(folder, 'pid')};
error_log stderr crit;
worker_rlimit_nofile 20000;
events { worker_connections 16384; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
${temporary.join('\n')}
  ${http}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    ${server}
  }
}
`,
  );
  return startBenchProcess({
    words: ['nginx', '-p', folder, '-c', file, '-e', 'stderr'],
    ...(core === undefined ? {} : { core }),
  });
}

async function startRedis(): Promise<Service> {
  const port = await freePort();
  const options = { port, bind: '127.0.0.1', save: '', appendonly: 'no', dir: scratch };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const running = startBenchProcess({ words: ['redis-server', ...args] });
  await accepts(port, running);
  return { url: `redis://127.0.0.1:${port}`, running };
}

function accepts(port: number, running: BenchProcess): Promise<void> {
  return untilReady(
    running,
    () =>
      new Promise((resolve) => {
        const socket = connect(port, '127.0.0.1', () => resolve(true));
        socket.once('error', () => resolve(false));
        socket.once('connect', () => socket.destroy());
      }),
  );
}
