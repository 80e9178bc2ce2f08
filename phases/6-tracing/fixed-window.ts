import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Callback, Redis, Result } from 'ioredis';
import type { Logger } from 'pino';

declare module 'ioredis' {
  interface RedisCommander<Context> {
    fixedWindow(bucket: string, windowMs: number, done: Callback<unknown>): Result<unknown, Context>;
  }
}

// The longest a request waits for Redis.
const COMMAND_BUDGET_MS = 200;

const TIMED_OUT = new Error(`no answer within ${COMMAND_BUDGET_MS} ms`);

// While Redis is down, a probe counts in this bucket at this interval.
const PROBE_INTERVAL_MS = 250;
const PROBE_BUCKET = 'gateway:{probe}';
const PROBE_WINDOW_MS = 1000;

// Errors about one key. Redis still counts for the other buckets.
const KEY_ERROR = /\b(?:WRONGTYPE|MOVED|ASK|value is not an integer|would overflow)\b/;

/** Defines the command `fixedWindow`: EVALSHA, and EVAL when Redis does not have the script. */
export function defineFixedWindow(redis: Redis): void {
  const lua = readFileSync(join(import.meta.dirname, 'fixed-window.lua'), 'utf8');
  redis.defineCommand('fixedWindow', { lua, numberOfKeys: 1 });
}

/** Counts in the bucket of the probe. A PING would succeed on a Redis that cannot write. */
export function countProbe(redis: Redis, done: Callback<unknown>): void {
  redis.fixedWindow(PROBE_BUCKET, PROBE_WINDOW_MS, done);
}

/** One count: the requests in the window so far, this one included, and the ms until the window ends. */
interface WindowCount {
  readonly count: number;
  readonly leftMs: number;
}

/** Counts requests per bucket. */
export interface Windows {
  /** Counts one request. Null: it could not be counted. */
  count(bucket: string, windowMs: number): Promise<WindowCount | null>;
}

/** The fixed-window counters in Redis, and whether Redis is up. */
export class FixedWindows implements Windows {
  readonly #redis: Redis;
  readonly #log: Logger;
  #down = false;
  /** The reject functions of the commands that share a time budget, or null when no batch is open. */
  #batch: Array<(error: Error) => void> | null = null;

  constructor(redis: Redis, log: Logger) {
    this.#redis = redis;
    this.#log = log;
    redis.on('close', () => this.#markDown(new Error('the connection was closed')));
    this.#run(PROBE_BUCKET, PROBE_WINDOW_MS).catch((error) => this.#markDown(error));
  }

  /**
   * Counts one request in one round trip. Null when Redis does not answer within COMMAND_BUDGET_MS; from then on null
   * at once, until Redis is up again, so only the first requests of an outage wait. Null also when this bucket cannot count.
   */
  async count(bucket: string, windowMs: number): Promise<WindowCount | null> {
    if (this.#down) return null;
    try {
      return await this.#run(bucket, windowMs);
    } catch (error) {
      if (!KEY_ERROR.test((error as Error).message)) this.#markDown(error as Error);
      return null;
    }
  }

  /** Asks Redis now. Without traffic an outage would go unnoticed. */
  async answers(): Promise<boolean> {
    if (this.#down) return false;
    await this.#run(PROBE_BUCKET, PROBE_WINDOW_MS).catch((error) => this.#markDown(error));
    return !this.#down;
  }

  #run(bucket: string, windowMs: number): Promise<WindowCount> {
    return new Promise((resolve, reject) => {
      this.#batch ??= this.#openBatch();
      this.#batch.push(reject); // has no effect after resolve
      this.#redis.fixedWindow(bucket, windowMs, (error, reply) => {
        // ioredis-mock replies false where Redis reports an error. Taken as a count, it would let every request pass.
        if (Array.isArray(reply)) resolve({ count: Number(reply[0]), leftMs: Number(reply[1]) });
        else reject(error ?? new Error('the counter script failed'));
      });
    });
  }

  /** The commands of one iteration of the event loop share one write and one timer, which saves a third of their cost. */
  #openBatch(): Array<(error: Error) => void> {
    const batch: Array<(error: Error) => void> = [];
    const { stream } = this.#redis;
    stream?.cork();
    setImmediate(() => {
      this.#batch = null;
      stream?.uncork();
      const expire = () => {
        for (const reject of batch) reject(TIMED_OUT);
      };
      // Not commandTimeout of ioredis: after a pause of this process it fires before a reply that is already in the
      // socket is read. setImmediate runs after the event loop has read, so such a reply still counts.
      setTimeout(() => setImmediate(expire), COMMAND_BUDGET_MS);
    });
    return batch;
  }

  #markDown(error: Error): void {
    if (this.#down) return;
    this.#down = true;
    this.#log.warn({ reason: error.message }, 'redis lost');
    void this.#probeUntilUp();
  }

  async #probeUntilUp(): Promise<void> {
    for (let up = false; !up; ) {
      await delay(PROBE_INTERVAL_MS, undefined, { ref: false });
      up = await this.#run(PROBE_BUCKET, PROBE_WINDOW_MS).then(
        () => true,
        () => false,
      );
    }
    this.#down = false;
    this.#log.info('redis found');
  }
}
