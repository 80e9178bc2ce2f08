import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isHealthy } from '../process/ask.ts';
import { scratch, startBenchProcess, untilReady } from '../process/bench-process.ts';
import type { GatewayPorts } from '../process/gateway-process.ts';
import { freePort } from '../process/ports.ts';
import { readText } from '../repository/phase-files.ts';
import { root } from '../repository/phases.ts';
import type { StormTool } from './versions.ts';

/** A balancer in front of two gateways. */
export interface Balancer {
  readonly name: string;
  readonly program: StormTool;
  readonly port: number;
  /** What its log says about a request; undefined when it says nothing. The id is part of the path. */
  explain(id: string): string | undefined;
  stop(): Promise<void>;
}

/** What HAProxy means by the first two letters of its termination state. */
const terminations: Record<string, string> = {
  SC: 'no connection to a gateway could be made',
  SH: 'the gateway closed the connection before its answer was complete, so the request may have been handled',
  SD: 'the gateway closed the connection in the middle of its answer',
  sH: 'the gateway did not answer in time',
  CD: 'the client left',
  CH: 'the client left',
};

/** HAProxy with shared/stack/haproxy.cfg. Only addresses are changed; before phase 5 it checks `/health`. */
export async function startHaproxy(level: number, gateways: [GatewayPorts, GatewayPorts]): Promise<Balancer> {
  const [port, healthPort] = [await freePort(), await freePort()];
  const file = join(scratch, `haproxy-${port}.cfg`);
  const logFile = `${file}.log`;
  const address = ({ port, adminPort }: GatewayPorts) =>
    `127.0.0.1:${port} port ${level >= 5 ? adminPort : port}`;
  const config = replaceAll(readText(join(root, 'shared', 'stack', 'haproxy.cfg')), [
    ['bind :8080', `bind 127.0.0.1:${port}`],
    ['bind 127.0.0.1:8404', `bind 127.0.0.1:${healthPort}`],
    ['gateway-1:3000', address(gateways[0])],
    ['gateway-2:3000', address(gateways[1])],
    ...(level >= 5 ? [] : [['uri /ready', 'uri /health'] as [string, string]]),
  ]);
  writeFileSync(file, config);
  const running = startBenchProcess({ words: ['haproxy', '-db', '-f', file], logFile });
  await untilReady(running, () => isHealthy(healthPort));
  return {
    name: 'HAProxy',
    program: 'haproxy',
    port,
    explain: (id) => readHaproxyLine(lineWith(readFileSync(logFile, 'utf8'), `/${id} `)),
    stop: () => running.stop(),
  };
}

/** nginx with a config that does the same, as far as nginx can: it has no health checks. */
export async function startNginxBalancer(gateways: [GatewayPorts, GatewayPorts]): Promise<Balancer> {
  const port = await freePort();
  const folder = join(scratch, `nginx-balancer-${port}`);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'nginx.conf');
  const errors = join(folder, 'error.log');
  const servers = gateways.map((ports) => `server 127.0.0.1:${ports.port} max_fails=0;`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${join(folder, kind)};`,
  );
  writeFileSync(
    file,
    `# One process, because a worker could outlive its master.
daemon off;
master_process off;
pid ${join(folder, 'pid')};
error_log ${errors} error;
events { worker_connections 1024; }
http {
  access_log off;
  ${temporary.join(' ')}
  # max_fails=0: nginx notices only after a second or two that a gateway which it has marked as failed is back. If the
  # other one stops then, it has no gateway at all. A refused connection costs next to nothing.
  upstream gateways { ${servers.join(' ')} }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://gateways;
      proxy_http_version 1.1;
      # A new connection for every request, as in haproxy.cfg.
      proxy_set_header Connection close;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      # Tries the other gateway. A POST that was sent is never sent again: that would take non_idempotent.
      proxy_next_upstream error timeout;
      proxy_connect_timeout 1s;
    }
  }
}
`,
  );
  const running = startBenchProcess({ words: ['nginx', '-p', folder, '-c', file, '-e', errors] });
  await untilReady(running, () => isHealthy(port));
  return {
    name: 'nginx',
    program: 'nginx',
    port,
    explain: (id) => readNginxLine(lineWith(readFileSync(errors, 'utf8'), `/${id} `)),
    stop: () => running.stop(),
  };
}

/** What a line of the log of HAProxy says about a request: `… gateways/gateway-1 0/0/1/-1/2 502 223 - - SH-- …`. */
export function readHaproxyLine(line: string): string | undefined {
  const [, status, state = ''] = / gateways\/\S+ \S+ (\d+) \d+ \S+ \S+ (\S{2})\S{2} /.exec(line) ?? [];
  const meaning = terminations[state];
  return meaning && `${status}, state \`${state}\`, ${meaning}`;
}

/** What a line of the error log of nginx says about a request: `… *7 recv() failed (…) while …, client: …`. */
export function readNginxLine(line: string): string | undefined {
  return /\*\d+ (.*?), client: /.exec(line)?.[1];
}

function lineWith(text: string, part: string): string {
  return text.split('\n').find((line) => line.includes(part)) ?? '';
}

function replaceAll(text: string, replacements: Array<[string, string]>): string {
  return replacements.reduce((so, [from, to]) => {
    // Without this check, a changed config file would silently keep the address of the container.
    if (!so.includes(from)) throw new Error(`haproxy.cfg has no "${from}" to replace.`);
    return so.replaceAll(from, to);
  }, text);
}
