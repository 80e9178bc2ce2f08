import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextIteration } from 'node:timers/promises';
import { type Callback, Redis, type RedisOptions, type Result } from 'ioredis';
import type { Logger } from 'pino';
import { serverBehind } from './redis-url.ts';
import { StartError } from './start-error.ts';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    fixedWindow(bucket: string, windowMs: number, done?: Callback<unknown>): Result<unknown, Context>;
  }
}

/** Opens a connection on which Redis has answered a count. Rejects with the cause when there is none. */
export type OpenRedis = () => Promise<Redis>;
type Check = (redis: Redis) => Promise<unknown>;

// The time limit from the look-up of the name to the first count. A TLS handshake takes several round trips.
const OPEN_BUDGET_MS = 1000;

const LUA = readFileSync(join(import.meta.dirname, 'fixed-window.lua'), 'utf8');

const NEEDED = 'It must name a primary that is in no cluster, or list nodes of a cluster.';

// How long the ended windows of the embedded Redis stay in memory.
const SWEEP_INTERVAL_MS = 60_000;

// Each client opens one connection. ioredis could reconnect, log in and select the database by itself, but it prints
// errors on stderr, loses their causes, and sends commands behind a SELECT that may fail.
const OPTIONS: RedisOptions = {
  lazyConnect: true,
  retryStrategy: () => null,
  enableOfflineQueue: false, // a command without a connection fails at once
  enableReadyCheck: false, // it sends INFO, which the user of REDIS_URL may not be allowed to run
  disableClientInfo: true,
  disconnectTimeout: 1, // a hung Redis never closes its side of the connection
};

/**
 * Returns the function that opens connections, after its first attempt: a gateway starts without Redis and connects
 * later. Without a URL the counters are in this process, in ioredis-mock. All keys begin with the prefix.
 */
export async function connectRedis(url: string | undefined, prefix: string, log: Logger): Promise<OpenRedis> {
  const keyPrefix = `${prefix}:`;
  if (url === undefined) return openEmbedded(keyPrefix, log);
  const [address, server] = serverOf(url);
  const open = () => openConnection(address, { keyPrefix, ...server }, refuseToCount);
  const attempts = [open()];
  await attempts[0]?.catch((error) => {
    if (error instanceof StartError) throw error;
  });
  // The first caller gets the result of the first attempt.
  return () => attempts.pop() ?? open();
}

/** The URL, for its user and its database, and the options that lead to its server. */
export function serverOf(text: string): [url: URL, server: RedisOptions] {
  const behind = serverBehind(text);
  if (behind) return behind;
  const url = new URL(text);
  const server = { host: url.hostname.replace(/^\[(.+)\]$/, '$1'), port: Number(url.port || 6379) };
  return [url, url.protocol === 'rediss:' ? { ...server, tls: {} } : server];
}

/** Connects to `server`, logs in as the user of the URL, to its database, and rejects if `check` does. */
export async function openConnection(url: URL, server: RedisOptions, check: Check): Promise<Redis> {
  const redis = new Redis({ ...OPTIONS, ...server });
  redis.defineCommand('fixedWindow', { lua: LUA, numberOfKeys: 1 });
  let cause: Error | undefined;
  redis.on('error', (error) => {
    cause ??= error; // why the connection failed. The commands only report that it is closed.
  });
  let expiry: NodeJS.Immediate | undefined;
  const expire = () => {
    const what = redis.status === 'ready' ? 'answer' : server.tls ? 'TLS connection' : 'connection';
    cause ??= new Error(`no ${what} within ${OPEN_BUDGET_MS} ms`);
    redis.disconnect();
  };
  // In setImmediate, because after a pause of this process the reply may already be in the socket.
  const timer = setTimeout(() => {
    expiry = setImmediate(expire);
  }, OPEN_BUDGET_MS);
  try {
    await redis.connect();
    await logIn(redis, url);
    const database = Number(url.pathname.slice(1));
    if (database > 0) await redis.select(database);
    await check(redis);
    return redis;
  } catch (error) {
    redis.disconnect();
    throw cause ?? error;
  } finally {
    clearTimeout(timer);
    clearImmediate(expiry);
  }
}

async function logIn(redis: Redis, { username, password }: URL): Promise<void> {
  if (password === '') return;
  const credentials = [username, password].filter((text) => text !== '').map(decodeURIComponent);
  await redis.call('AUTH', ...credentials).catch((error: Error) => {
    // A Redis without a password accepts all commands.
    if (!error.message.includes('without any password configured')) throw error;
  });
}

/** A count in this bucket shows whether Redis can count. A PING would succeed on a Redis that cannot write. */
export const PROBE = { bucket: '{probe}', windowMs: 1000 };

/** Throws a StartError if this Redis could not count all buckets even while it is well. */
async function refuseToCount(redis: Redis): Promise<void> {
  const info = String(await redis.cluster('INFO').catch(() => '')); // an error, unless it is a node of a cluster
  if (info.includes('cluster_state')) throw new StartError(`REDIS_URL names a cluster node. ${NEEDED}`);
  await redis.fixedWindow(PROBE.bucket, PROBE.windowMs).catch((error: Error) => {
    if (error.message.startsWith('READONLY')) throw new StartError(`REDIS_URL names a replica. ${NEEDED}`);
    if (!KEY_ERROR.test(error.message)) throw error;
  });
}

// Errors about one key. Redis still counts in the other buckets.
const KEY_ERROR = /\b(?:WRONGTYPE|value is not an integer|would overflow)\b/;

/** True when Redis has answered that it cannot count at all, for example READONLY, MOVED or NOAUTH. */
export function isOutage({ name, message }: Error): boolean {
  return name === 'ReplyError' && !KEY_ERROR.test(message);
}

/** ioredis-mock deletes the key of an ended window only when a command names it. */
async function openEmbedded(keyPrefix: string, log: Logger): Promise<OpenRedis> {
  log.warn('embedded redis: limits hold for this one process only');
  const { default: RedisMock } = await import('ioredis-mock');
  const redis = new RedisMock({ keyPrefix });
  redis.defineCommand('fixedWindow', { lua: LUA, numberOfKeys: 1 });
  const used = new Set<string>();
  const count = redis.fixedWindow;
  redis.fixedWindow = (bucket, ...rest) => {
    used.add(bucket);
    return count(bucket, ...rest);
  };
  const sweep = async () => {
    for (const bucket of used) {
      if ((await redis.exists(bucket)) === 0) used.delete(bucket);
      await nextIteration();
    }
  };
  setInterval(sweep, SWEEP_INTERVAL_MS).unref();
  return async () => redis;
}
