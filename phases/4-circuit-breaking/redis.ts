import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Callback, Redis, type RedisOptions, type Result } from 'ioredis';
import type { Logger } from 'pino';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    fixedWindow(bucket: string, windowMs: number, done: Callback<unknown>): Result<unknown, Context>;
  }
}

// The longest a request may wait for Redis. A later count is worth less than the answer it holds up.
const COMMAND_BUDGET_MS = 200;

const LATE = new Error(`no answer within ${COMMAND_BUDGET_MS} ms`);

// How long a start waits for a Redis that neither answers nor refuses.
const START_BUDGET_MS = 3000;

// How often a lost Redis is asked whether it is back.
const PROBE_INTERVAL_MS = 250;
const PROBE_BUCKET = 'gateway:{probe}';
const PROBE_WINDOW_MS = 1000;

const FIXED_WINDOW = {
  lua: readFileSync(join(import.meta.dirname, 'fixed-window.lua'), 'utf8'),
  numberOfKeys: 1,
};

// ioredis is made for programs that would rather wait than fail. A gateway is not one of them.
const OPTIONS: RedisOptions = {
  connectTimeout: 1000,
  socketTimeout: 1000, // a connection that swallows commands is dead, whatever TCP thinks of it
  enableOfflineQueue: false, // a command without a connection fails at once
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false, // what was in flight may have been counted: never count it twice
  retryStrategy: (attempt) => Math.min(attempt * 100, 1000),
};

/**
 * Connects to Redis and waits for its first word, a moment at most: a gateway starts without Redis and finds
 * it later. Without a URL the counters live in this process, in ioredis-mock.
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
  // Outages show in the commands; without a listener ioredis would print every failed attempt to connect.
  let refusal = '';
  redis.on('error', (error: Error & { command?: { name: string } }) => {
    if (error.command?.name !== 'select') return;
    redis.disconnect(true); // and connect anew: ioredis would count on in database 0, where nobody looks
    if (error.message !== refusal)
      log.error({ reason: error.message }, 'redis refuses the database of REDIS_URL');
    refusal = error.message;
  });
  redis.defineCommand('fixedWindow', FIXED_WINDOW);
  const firstWord = new Promise<void>((resolve) => {
    redis.once('error', () => resolve());
    // The first count takes two round trips, because Redis has yet to learn the script: not on a request's time.
    redis.once('ready', () => redis.fixedWindow(PROBE_BUCKET, PROBE_WINDOW_MS, () => resolve()));
  });
  await Promise.race([firstWord, delay(START_BUDGET_MS, undefined, { ref: false })]);
  return redis;
}

/** One count: requests so far in the window, this one included, and the ms until the window ends. */
export interface WindowCount {
  readonly count: number;
  readonly leftMs: number;
}

/** The fixed-window counters in Redis, and whether Redis answers. */
export class FixedWindows {
  readonly #redis: Redis;
  readonly #log: Logger;
  #lost = false;
  /** What to call for the commands of this turn when they are late. */
  #turn: Array<(error: Error) => void> | null = null;

  constructor(redis: Redis, log: Logger) {
    this.#redis = redis;
    this.#log = log;
    this.#ask(PROBE_BUCKET, PROBE_WINDOW_MS).catch((error) => this.#lose(error));
  }

  /**
   * Counts one request, in one round trip. Null means Redis did not answer in time. From then on the answer
   * is null at once, until Redis is found again: only the first requests wait for the budget to run out.
   */
  async count(bucket: string, windowMs: number): Promise<WindowCount | null> {
    if (this.#lost) return null;
    try {
      return await this.#ask(bucket, windowMs);
    } catch (error) {
      this.#lose(error as Error);
      return null;
    }
  }

  #ask(bucket: string, windowMs: number): Promise<WindowCount> {
    return new Promise((resolve, reject) => {
      this.#turn ??= this.#beginTurn();
      this.#turn.push(reject); // no effect once the answer is there
      // EVALSHA; ioredis sends the whole script when Redis does not know it (any more).
      this.#redis.fixedWindow(bucket, windowMs, (error, reply) => {
        // ioredis-mock answers false where Redis reports an error, and `false <= limit` holds.
        if (Array.isArray(reply)) resolve({ count: Number(reply[0]), leftMs: Number(reply[1]) });
        else reject(error ?? new Error('the counter script failed'));
      });
    });
  }

  /** The commands of one turn of the event loop share a budget, and one write: that saves a third of their cost. */
  #beginTurn(): Array<(error: Error) => void> {
    const turn: Array<(error: Error) => void> = [];
    const { stream } = this.#redis;
    stream?.cork();
    setImmediate(() => {
      this.#turn = null;
      stream?.uncork();
      const expire = () => {
        for (const late of turn) late(LATE);
      };
      // Instead of the commandTimeout of ioredis: after a pause of this process the timer is due before the answer
      // in the socket has been read. setImmediate comes after the reading, so an answer that is there still counts.
      setTimeout(() => setImmediate(expire), COMMAND_BUDGET_MS);
    });
    return turn;
  }

  #lose(error: Error): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#log.warn({ reason: error.message }, 'redis lost');
    void this.#find();
  }

  async #find(): Promise<void> {
    for (let found = false; !found; ) {
      await delay(PROBE_INTERVAL_MS, undefined, { ref: false });
      // The script itself, not PING: a Redis that cannot write is as good as gone.
      found = await this.#ask(PROBE_BUCKET, PROBE_WINDOW_MS).then(
        () => true,
        () => false,
      );
    }
    this.#lost = false;
    this.#log.info('redis found');
  }
}
