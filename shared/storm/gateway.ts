import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isHealthy } from '../process/ask.ts';
import { type BenchProcess, scratch, startBenchProcess, untilReady } from '../process/bench-process.ts';
import { type GatewayPorts, gatewayEnv } from '../process/gateway-process.ts';
import { freePort } from '../process/ports.ts';
import type { Phase } from '../repository/phases.ts';

/** The gateway under test. */
export interface StormSubject {
  /** The phase that it implements. It decides which sections its config gets. */
  level: number;
  /** In words, for the document. */
  title: string;
  words: readonly string[];
  /** A phase of this repository, in which the garbage can be collected on demand. */
  isPhase: boolean;
}

/** A phase as a subject. */
export function subjectOf({ number, name, folder }: Phase): StormSubject {
  const words = [
    'node',
    '--expose-gc',
    '--import',
    'tsx',
    '--import',
    join(import.meta.dirname, 'collect-garbage.ts'),
  ];
  return {
    level: number,
    title: `phase ${name}`,
    words: [...words, join(folder, 'server.ts')],
    isPhase: true,
  };
}

/** The settings of a gateway. Where one is missing, a default applies that limits and refuses nothing. */
export interface StormGatewayOptions {
  /** The URLs of the services, by the first segment of their routes. */
  services: Record<string, string>;
  timeoutMs?: number;
  /** The limit of each client with a key. */
  limit?: number;
  clients?: Array<{ id: string; keySha256: string[] }>;
  whenRedisFails?: 'allow' | 'reject';
  circuitBreaker?: { failureThreshold: number; cooldownMs: number };
  redisUrl?: string;
  /** The ports of a gateway that is started again. */
  ports?: GatewayPorts;
  env?: Record<string, string>;
}

/** A gateway that runs. */
export interface StormGateway extends Readonly<GatewayPorts> {
  readonly url: string;
  readonly pid: number;
  /** Resolves when it has ended with 0; rejects otherwise. */
  readonly ended: Promise<unknown>;
  /** True when it has ended. */
  hasEnded(): boolean;
  /** Log lines at level warn or above whose message is `message`. */
  logged(message: string): number;
  stop(): Promise<void>;
}

const everything = { limit: 1_000_000_000, windowMs: 3_600_000 };
const never = { failureThreshold: 1_000_000, cooldownMs: 30_000 };

let started = 0;

/** Starts the gateway on free ports and waits until it is ready. */
export function startStormGateway(
  subject: StormSubject,
  options: StormGatewayOptions,
): Promise<StormGateway> {
  return againWhenInUse(() => start(subject, options));
}

async function start(subject: StormSubject, options: StormGatewayOptions): Promise<StormGateway> {
  const ports = options.ports ?? { port: await freePort(), adminPort: await freePort() };
  const stem = join(scratch, `gateway-${++started}`);
  writeFileSync(`${stem}.json`, JSON.stringify(configOf(subject.level, options)));
  const running = startBenchProcess({
    words: [...subject.words],
    env: {
      NODE_ENV: 'production',
      ...gatewayEnv(ports, `${stem}.json`),
      REDIS_URL: options.redisUrl ?? '',
      LOG_LEVEL: 'warn',
      STORM_MEMORY_FILE: memoryFile(ports.port),
      ...options.env,
    },
    logFile: `${stem}.log`,
  });
  const gateway: StormGateway = {
    ...ports,
    url: `http://127.0.0.1:${ports.port}`,
    pid: running.pid,
    ended: running.finished,
    hasEnded: running.hasEnded,
    logged: (message) => readFileSync(`${stem}.log`, 'utf8').split(`"msg":"${message}"`).length - 1,
    stop: () => running.stop(),
  };
  await untilReady(running, () => isHealthy(ports.port));
  return gateway;
}

/** The service, as a process of its own. */
export type StormService = BenchProcess & { url: string };

/** Starts the service and waits until it answers. */
export function startStormService(env: Record<string, string> = {}): Promise<StormService> {
  return againWhenInUse(() => launchService(env));
}

async function launchService(env: Record<string, string>): Promise<StormService> {
  const port = await freePort();
  const words = ['node', '--import', 'tsx', join(import.meta.dirname, 'service.ts')];
  const running = startBenchProcess({ words, env: { ...env, PORT: String(port) } });
  await untilReady(running, () => isHealthy(port, { path: '/ok' }));
  return { ...running, url: `http://127.0.0.1:${port}` };
}

/** Tries once more when another program has taken the port between its choice and its use. */
function againWhenInUse<T>(start: () => Promise<T>): Promise<T> {
  return start().catch((error: Error) => {
    if (/EADDRINUSE|in use/.test(error.message)) return start();
    throw error;
  });
}

/** The file to which a gateway writes its memory in use: see collect-garbage.ts. */
export function memoryFile(port: number): string {
  return join(scratch, `memory-${port}`);
}

function configOf(level: number, options: StormGatewayOptions): object {
  const { services, timeoutMs = 30_000, limit, clients = [], whenRedisFails = 'allow' } = options;
  const entries = Object.entries(services);
  return {
    services: Object.fromEntries(entries.map(([name, url]) => [name, { url, timeoutMs }])),
    routes: entries.map(([name]) => ({
      prefix: `/${name}`,
      service: name,
      ...(level >= 2 && { access: 'public' }),
    })),
    ...(level >= 2 && { clients }),
    ...(level >= 3 && {
      trustedProxies: [],
      rateLimit: {
        identified: { ...everything, ...(limit !== undefined && { limit }) },
        anonymous: everything,
        whenRedisFails,
      },
    }),
    ...(level >= 4 && { circuitBreaker: options.circuitBreaker ?? never }),
    ...(level >= 6 && { serverTiming: false }),
  };
}
