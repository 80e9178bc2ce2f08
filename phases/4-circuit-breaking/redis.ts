import { setTimeout as delay } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import type { Logger } from 'pino';
import { countProbe, defineFixedWindow } from './fixed-window.ts';

// How long a start waits for a Redis that neither answers nor refuses.
const START_BUDGET_MS = 3000;

// By default ioredis waits and retries. A gateway must fail fast instead.
const OPTIONS: RedisOptions = {
  connectTimeout: 1000,
  socketTimeout: 1000, // closes a connection on which commands get no reply, even if TCP reports no error
  enableOfflineQueue: false, // a command without a connection fails at once
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false, // a command in flight may have been counted, so it is never sent again
  // After a failover the old primary is a replica, and stays one on this connection. A new one looks its name up again.
  reconnectOnError: ({ message }) => /\b(?:READONLY|MASTERDOWN)\b/.test(message),
  retryStrategy: (attempt) => Math.min(attempt * 100, 1000),
};

/**
 * Connects to Redis and waits until it answers or refuses, START_BUDGET_MS at most: a gateway starts without Redis
 * and connects later. Without a URL the counters are in this process, in ioredis-mock.
 */
export async function connectRedis(url: string | undefined, log: Logger): Promise<Redis> {
  let redis: Redis;
  if (url === undefined) {
    log.warn('embedded redis: limits hold for this one process only');
    const { default: RedisMock } = await import('ioredis-mock');
    redis = new RedisMock();
  } else {
    redis = new Redis(url, OPTIONS);
  }
  reconnectOnFailedSelect(redis, log);
  defineFixedWindow(redis);
  const firstReply = new Promise<void>((resolve) => {
    redis.once('error', () => resolve());
    // The first count takes two round trips, because Redis does not have the script yet. No request should wait for both.
    redis.once('ready', () => countProbe(redis, () => resolve()));
  });
  await Promise.race([firstReply, delay(START_BUDGET_MS, undefined, { ref: false })]);
  return redis;
}

/** Reconnects when Redis refuses the database of REDIS_URL, and logs each reason once. */
function reconnectOnFailedSelect(redis: Redis, log: Logger): void {
  let lastReason = '';
  // Without an 'error' listener ioredis prints every failed attempt to connect. FixedWindows logs outages.
  redis.on('error', (error: Error & { command?: { name: string } }) => {
    if (error.command?.name !== 'select') return;
    redis.disconnect(true); // after a failed SELECT ioredis silently continues in database 0
    if (error.message !== lastReason)
      log.error({ reason: error.message }, 'redis refuses the database of REDIS_URL');
    lastReason = error.message;
  });
}
