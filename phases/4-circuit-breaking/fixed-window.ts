import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { OutageLog } from './outage-log.ts';
import type { WindowCount, Windows } from './rate-limit.ts';
import { isOutage, type OpenRedis } from './redis.ts';

// The longest a request waits for Redis.
const COMMAND_BUDGET_MS = 200;

// Redis is lost when nothing has arrived from it for this time although a command waits. Not after a number of late
// replies: at 1,000 requests per second, a pause of 250 ms makes hundreds of them.
const SILENCE_MS = 500;

// The pauses between attempts to reach a lost Redis double. Up to half of each is left out at random, so that gateways
// do not connect at the same moment.
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 1000;

// Redis may close idle connections, which is no outage. A connection that is closed before this age was not idle.
const NEW_MS = 500;

const TIMED_OUT = new Error('late');
const SILENT = new Error(`no answer within ${SILENCE_MS} ms`);
const CLOSED = new Error('a new connection was closed');

/** The fixed-window counters in Redis, and whether Redis is up. */
export class FixedWindows implements Windows {
  readonly #open: OpenRedis;
  readonly #log: OutageLog;
  #redis: Redis | null = null;
  #opening: Promise<Redis> | null = null;
  #down = false;
  #replies = 0;
  /** The reject functions of the commands that share a time budget, or null when no batch is open. */
  #batch: Array<(error: Error) => void> | null = null;

  constructor(open: OpenRedis, log: Logger) {
    this.#open = open;
    this.#log = new OutageLog(log, 'redis');
    this.#connect().catch((error) => this.#markDown(error));
  }

  /**
   * Counts one request in one round trip. Null when Redis does not answer within COMMAND_BUDGET_MS, or cannot count in
   * this bucket. Null at once while Redis is lost, so only the first requests of an outage wait.
   */
  async count(bucket: string, windowMs: number): Promise<WindowCount | null> {
    if (this.#down) return null;
    try {
      return await this.#run(bucket, windowMs);
    } catch (error) {
      if (isOutage(error as Error)) this.#markDown(error as Error);
      return null;
    }
  }

  #run(bucket: string, windowMs: number): Promise<WindowCount> {
    return new Promise((resolve, reject) => {
      this.#batch ??= this.#openBatch();
      this.#batch.push(reject); // has no effect after resolve
      const send = (redis: Redis): void => {
        redis.fixedWindow(bucket, windowMs, (error, reply) => {
          this.#replies++;
          // ioredis-mock replies false where Redis reports an error. Taken as a count, it would let every request pass.
          if (Array.isArray(reply)) resolve({ count: Number(reply[0]), leftMs: Number(reply[1]) });
          else reject(error ?? new Error('the counter script failed'));
        });
      };
      if (this.#redis) send(this.#redis);
      else this.#connect().then(send, reject);
    });
  }

  /** The commands of one iteration of the event loop share one write and one timer, which saves a third of their cost. */
  #openBatch(): Array<(error: Error) => void> {
    const batch: Array<(error: Error) => void> = [];
    const before = this.#replies;
    const stream = this.#redis?.stream;
    stream?.cork();
    const judge = () => {
      if (this.#replies === before) this.#markDown(SILENT);
    };
    const expire = () => {
      for (const reject of batch) reject(TIMED_OUT);
      if (this.#replies === before) setTimeout(() => setImmediate(judge), SILENCE_MS - COMMAND_BUDGET_MS);
    };
    setImmediate(() => {
      this.#batch = null;
      stream?.uncork();
      // Not commandTimeout of ioredis: after a pause of this process it fires before a reply that is already in the
      // socket is read. setImmediate runs after the event loop has read, so such a reply still counts.
      setTimeout(() => setImmediate(expire), COMMAND_BUDGET_MS);
    });
    return batch;
  }

  /** Opens a connection, or joins the attempt that is being made. */
  #connect(): Promise<Redis> {
    this.#opening ??= this.#open()
      .then((redis) => this.#use(redis))
      .finally(() => {
        this.#opening = null;
      });
    return this.#opening;
  }

  #use(redis: Redis): Redis {
    if (redis.status === 'end') throw CLOSED;
    this.#redis = redis;
    this.#replies++;
    let closed = () => this.#markDown(CLOSED);
    setTimeout(() => {
      closed = () => void this.#connect().catch((error) => this.#markDown(error));
    }, NEW_MS).unref();
    redis.once('end', () => {
      if (this.#redis !== redis) return;
      this.#redis = null;
      closed();
    });
    return redis;
  }

  #markDown(error: Error): void {
    if (this.#down) return;
    this.#down = true;
    this.#log.note(error);
    this.#redis?.disconnect();
    this.#redis = null;
    void this.#reconnect();
  }

  /** Opens new connections until one can count. Each looks the name up again, which may lead to a new primary by now. */
  async #reconnect(): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    while (this.#redis === null) {
      await delay(pauseMs * (1 - Math.random() / 2), undefined, { ref: false });
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
      await this.#connect().catch(() => {});
    }
    this.#down = false;
    this.#log.note(null);
  }
}
