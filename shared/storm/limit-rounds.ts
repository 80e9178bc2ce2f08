import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import { until } from '../process/until.ts';

/** The limit of each client. */
export const limitPerClient = 20;
const perGateway = 15;
const pauseMs = 50;
const inARow = 10;

/** The answers to the requests of one client. */
export interface Round {
  begun: number;
  ended: number;
  sent: number;
  passed: number;
  /** Requests that got 503. */
  refused: number;
  /** Requests that got no answer, or a status other than 200, 429 and 503. */
  other: number;
  longestMs: number;
  /** Exactly the limit has passed, and every answer was counted. */
  exact: boolean;
}

let nextClient = 0;

/** Sends rounds of requests to several gateways at once, one client per round. */
export class Rounds {
  readonly done: Round[] = [];
  readonly #pools: Pool[];
  readonly #clients: number;
  #over = false;

  constructor(urls: string[], clients: number) {
    this.#pools = urls.map((url) => new Pool(url, { connections: perGateway }));
    this.#clients = clients;
  }

  /** Waits for a first exact round. It is not counted, because Redis does not have the script yet. */
  async firstExact(): Promise<void> {
    await until(async () => (await this.#one()).exact, 'a first round is exact', 15_000);
  }

  /** Sends rounds until stop() is called. */
  async run(): Promise<void> {
    while (!this.#over) {
      this.done.push(await this.#one());
      await delay(pauseMs);
    }
    await Promise.all(this.#pools.map((pool) => pool.destroy()));
  }

  stop(): void {
    this.#over = true;
  }

  /** When the first of ten exact rounds in a row began, from `from` on: `from` if that was the next one, or Infinity. */
  exactFrom(from: number): number {
    const after = this.done.filter(({ begun }) => begun >= from);
    const first = after.findIndex((_, i) => {
      const next = after.slice(i, i + inARow);
      return next.length === inARow && next.every(({ exact }) => exact);
    });
    return first === 0 ? from : (after[first]?.begun ?? Infinity);
  }

  async #one(): Promise<Round> {
    const key = `key-${nextClient++ % this.#clients}`;
    const begun = performance.now();
    const answers = await Promise.all(
      this.#pools.flatMap((pool) => Array.from({ length: perGateway }, () => ask(pool, key))),
    );
    const count = (status: number) => answers.filter((answer) => answer.status === status).length;
    const passed = count(200);
    return {
      begun,
      ended: performance.now(),
      sent: answers.length,
      passed,
      refused: count(503),
      other: answers.length - passed - count(429) - count(503),
      longestMs: Math.max(...answers.map(({ ms }) => ms)),
      exact: passed === limitPerClient && answers.every(({ counted }) => counted),
    };
  }
}

async function ask(pool: Pool, key: string): Promise<{ status: number; counted: boolean; ms: number }> {
  const begun = performance.now();
  try {
    const { statusCode, headers, body } = await pool.request({
      method: 'GET',
      path: '/a/ok',
      headers: { 'x-api-key': key },
    });
    await body.dump();
    return { status: statusCode, counted: headers.ratelimit !== undefined, ms: performance.now() - begun };
  } catch {
    return { status: 0, counted: false, ms: performance.now() - begun };
  }
}
