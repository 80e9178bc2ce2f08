import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BenchProcess, scratch, startBenchProcess } from '../process/bench-process.ts';
import { gatewayCore } from '../process/cores.ts';
import { gatewayEnv } from '../process/gateway-process.ts';
import { onPath } from '../process/on-path.ts';
import { freePort } from '../process/ports.ts';
import { listPhases } from '../repository/phases.ts';
import { CliError } from '../terminal/cli-error.ts';
import type { BenchLoad } from './load.ts';
import { peersFolder } from './peers.ts';
import { type BenchSurroundings, startBenchNginx } from './surroundings.ts';

/** A program that is measured: how to start it, and its additions to the load of the scenario. */
export interface BenchSubject {
  readonly name: string;
  /** Starts it. `running` is empty without a gateway, and has one process per instance. */
  launch(around: BenchSurroundings): Promise<{ running: BenchProcess[]; urls: string[] }>;
  readonly load?: Partial<BenchLoad>;
  /** The expected status when refusals are measured. Otherwise it is 200, or 204 for POST. */
  readonly status?: number;
  /** Whether it calls the Redis that all subjects share. Otherwise the CPU time of this Redis is not its own. */
  readonly usesRedis?: boolean;
}

const benchKey = 'bench-key';
const forEverMs = 3_600_000;

/** No gateway: the load goes directly to the service. */
export const direct: BenchSubject = {
  name: 'direct',
  async launch({ fastUrl, nodeUrl }) {
    return { running: [], urls: [fastUrl, nodeUrl] };
  },
};

/** How a phase is started. By default it has two routes and one client. */
export interface PhaseOptions {
  name?: string;
  accessLog?: boolean;
  routes?: number;
  clients?: number;
  instances?: number;
  load?: Partial<BenchLoad>;
  /** A key other than the one in the config, or null for an anonymous client. */
  key?: string | null;
  status?: number;
}

/** A phase by its number, with all its stages: an API key from 2 on, a real Redis from 3 on, circuits from 4 on. */
export function phase(number: number, options: PhaseOptions = {}): BenchSubject {
  const { name = `phase ${number}`, accessLog, instances = 1, load, key = benchKey, status } = options;
  return {
    name,
    load: { ...load, headers: number >= 2 && key !== null ? { 'x-api-key': key } : {} },
    ...(status && { status }),
    usesRedis: number >= 3,
    async launch(around) {
      const folder = listPhases().find((candidate) => candidate.number === number)?.folder;
      if (!folder) throw new CliError(`there is no phase ${number}`);
      if (number >= 3 && !around.redis) throw new CliError('redis-server is not on PATH');
      const stem = join(scratch, `${name.replace(/\W+/g, '-')}-${Date.now()}`);
      writeFileSync(`${stem}.json`, JSON.stringify(phaseConfig(number, around, options)));
      const env = {
        NODE_ENV: 'production',
        REDIS_URL: around.redis?.url ?? '',
        LOG_LEVEL: accessLog ? 'info' : 'silent',
      };
      const running: BenchProcess[] = [];
      const urls: string[] = [];
      for (let i = 0; i < instances; i += 1) {
        const port = await freePort();
        running.push(
          startBenchProcess({
            words: ['node', '--import', 'tsx', join(folder, 'server.ts')],
            env: { ...env, ...gatewayEnv({ port, adminPort: 0 }, `${stem}.json`) },
            core: gatewayCore,
            logFile: `${stem}-${i}.log`,
          }),
        );
        urls.push(`http://127.0.0.1:${port}`);
      }
      return { running, urls };
    },
  };
}

/** The config has two plain routes. For refusals it also has /open, with a limit of 1, and /dead, whose circuit opens. */
function phaseConfig(number: number, { fastUrl, nodeUrl }: BenchSurroundings, options: PhaseOptions): object {
  const { routes = 2, clients = 1 } = options;
  const service = (url: string) => ({ url, timeoutMs: 30_000 });
  const route = (prefix: string, name: string, access = 'protected') => ({
    prefix,
    service: name,
    ...(number >= 2 && { access }),
  });
  const digest = (key: string) => createHash('sha256').update(key).digest('hex');
  return {
    services: { fast: service(fastUrl), node: service(nodeUrl), dead: service('http://127.0.0.1:1') },
    routes: [
      route('/fast', 'fast'),
      route('/node', 'node'),
      ...(options.status ? [route('/open', 'fast', 'public'), route('/dead', 'dead')] : []),
      ...Array.from({ length: routes - 2 }, (_, i) => route(`/more/${i}`, 'fast')),
    ],
    ...(number >= 2 && {
      clients: [
        { id: 'bench', keySha256: [digest(benchKey)] },
        ...Array.from({ length: clients - 1 }, (_, i) => ({
          id: `client-${i}`,
          keySha256: [digest(`key-${i}`)],
        })),
      ],
    }),
    ...(number >= 3 && {
      trustedProxies: [],
      rateLimit: {
        identified: { limit: 1e12, windowMs: forEverMs },
        anonymous: { limit: 1, windowMs: forEverMs },
        whenRedisFails: 'reject',
      },
    }),
    ...(number >= 4 && { circuitBreaker: { failureThreshold: 3, cooldownMs: forEverMs } }),
    ...(number >= 6 && { serverTiming: false }),
  };
}

/** An npm peer: a script in peers/ that forwards /fast and /node. */
function npmPeer(name: string, script: string, env: Record<string, string> = {}): BenchSubject {
  return {
    name,
    async launch({ fastUrl, nodeUrl, redis }) {
      const port = await freePort();
      const running = startBenchProcess({
        words: ['node', '--import', 'tsx', join(peersFolder, script)],
        env: {
          NODE_ENV: 'production',
          PORT: String(port),
          FAST_URL: fastUrl,
          NODE_URL: nodeUrl,
          REDIS_URL: redis?.url ?? '',
          ...env,
        },
        core: gatewayCore,
      });
      return { running: [running], urls: [`http://127.0.0.1:${port}`] };
    },
  };
}

/** The lower bound in Node: node:http and undici's dispatch, with nothing in between. */
export const bareNode = npmPeer('bare node:http + undici', 'bare-node.mjs');

export const fastGateway = npmPeer('fast-gateway', 'fast-gateway.mjs');

export const httpProxyPlugin = npmPeer('@fastify/http-proxy', 'fastify-http-proxy.mjs');

/** A limiter in front of phase 2's gateway: `none`, `phase` (3), `fastify` or `flexible`. */
export function limiter(name: string, kind: string): BenchSubject {
  return {
    name,
    load: { headers: { 'x-api-key': benchKey } },
    usesRedis: kind !== 'none',
    launch(around) {
      const file = join(scratch, 'limiter.json');
      writeFileSync(file, JSON.stringify(phaseConfig(2, around, {})));
      return npmPeer(name, 'limiter.mjs', { LIMITER: kind, GATEWAY_CONFIG: file }).launch(around);
    },
  };
}

/** A lower bound outside Node: nginx as a gateway, in one process. */
export const nginx: BenchSubject = {
  name: 'nginx',
  async launch({ fastUrl, nodeUrl }) {
    if (!onPath('nginx')) throw new CliError('nginx is not on PATH');
    const port = await freePort();
    const service = (name: string, url: string) =>
      `upstream ${name} { server ${new URL(url).host}; keepalive 1024; keepalive_requests 1000000000; }`;
    const forward = (name: string) => `
    location /${name}/ {
      proxy_pass http://${name}/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
    }`;
    const server = `client_max_body_size 0; ${forward('fast')} ${forward('node')}`;
    const http = `${service('fast', fastUrl)} ${service('node', nodeUrl)}`;
    const running = startBenchNginx(`gateway-${port}`, port, server, http, gatewayCore);
    return { running: [running], urls: [`http://127.0.0.1:${port}`] };
  },
};

const haproxy: BenchSubject = {
  name: 'HAProxy',
  async launch({ fastUrl, nodeUrl }) {
    if (!onPath('haproxy')) throw new CliError('haproxy is not on PATH');
    const port = await freePort();
    const file = join(scratch, `haproxy-${port}.cfg`);
    const backend = (name: string, url: string) => `
backend ${name}
  http-request replace-path /${name}(/.*) \\1
  server one ${new URL(url).host}`;
    const config = `global
  nbthread 1
  maxconn 8000
defaults
  mode http
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend public
  bind 127.0.0.1:${port} backlog 4096
  use_backend fast if { path_beg /fast/ }
  use_backend node if { path_beg /node/ }
${backend('fast', fastUrl)}
${backend('node', nodeUrl)}
`;
    writeFileSync(file, config);
    const running = startBenchProcess({ words: ['haproxy', '-db', '-f', file], core: gatewayCore });
    return { running: [running], urls: [`http://127.0.0.1:${port}`] };
  },
};

const caddy: BenchSubject = {
  name: 'Caddy',
  async launch({ fastUrl, nodeUrl }) {
    if (!onPath('caddy')) throw new CliError('caddy is not on PATH');
    const port = await freePort();
    const file = join(scratch, `Caddyfile-${port}`);
    const forward = (name: string, url: string) => `
  handle_path /${name}/* {
    reverse_proxy ${new URL(url).host} {
      transport http {
        keepalive_idle_conns_per_host 1024
      }
    }
  }`;
    const config = `{
  admin off
  auto_https off
}
http://127.0.0.1:${port} {
  bind 127.0.0.1${forward('fast', fastUrl)}${forward('node', nodeUrl)}
}
`;
    writeFileSync(file, config);
    const running = startBenchProcess({
      words: ['caddy', 'run', '--config', file, '--adapter', 'caddyfile'],
      env: { GOMAXPROCS: '1', HOME: scratch, XDG_DATA_HOME: scratch, XDG_CONFIG_HOME: scratch },
      core: gatewayCore,
    });
    return { running: [running], urls: [`http://127.0.0.1:${port}`] };
  },
};

/** Alternatives to the phases, and the lower bounds in Node and outside it. */
export const peers: BenchSubject[] = [
  httpProxyPlugin,
  fastGateway,
  npmPeer('http-proxy', 'http-proxy.mjs'),
  npmPeer('Express + http-proxy-middleware', 'express.mjs'),
  bareNode,
  nginx,
  haproxy,
  caddy,
];
