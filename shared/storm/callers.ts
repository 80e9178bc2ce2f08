import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Balancer } from './balancers.ts';

/** How many callers of each kind every balancer has. */
export const callersPerKind = { GET: 4, POST: 4 };

const pauseMs = 20;

/** A request that got no good answer. */
export interface Lost {
  id: string;
  method: string;
  balancer: Balancer;
  what: string;
}

/**
 * Callers of every balancer. They never send a request again. Each request has a connection of its own: on a kept one
 * HAProxy answers a failed request by closing the connection, without a line in its log, because the client must retry.
 */
export class Callers {
  readonly lost: Lost[] = [];
  readonly #balancers: Balancer[];
  readonly #sent = new Map<string, number>();
  #over = false;
  #next = 0;

  constructor(balancers: Balancer[]) {
    this.#balancers = balancers;
  }

  /** Sends requests until stop() is called. */
  async run(): Promise<void> {
    const callers = this.#balancers.flatMap((balancer) =>
      (['GET', 'POST'] as const).flatMap((method) =>
        Array.from({ length: callersPerKind[method] }, () => this.#call(balancer, method)),
      ),
    );
    await Promise.all(callers);
  }

  stop(): void {
    this.#over = true;
  }

  sent(balancer: Balancer, method: string): number {
    return this.#sent.get(balancer.name + method) ?? 0;
  }

  async #call(balancer: Balancer, method: string): Promise<void> {
    const key = balancer.name + method;
    while (!this.#over) {
      const id = `request-${this.#next++}`;
      this.#sent.set(key, (this.#sent.get(key) ?? 0) + 1);
      const what = await this.#ask(balancer.port, method, `/a/${method === 'POST' ? 'order' : 'ok'}/${id}`);
      if (what !== '200') this.lost.push({ id, method, balancer, what });
      await delay(2 * pauseMs * Math.random());
    }
  }

  #ask(port: number, method: string, path: string): Promise<string> {
    return new Promise((resolve) => {
      const call = request(
        { host: '127.0.0.1', port, method, path, agent: false, timeout: 30_000 },
        (answer) => {
          answer.on('error', (error) => resolve(`an answer that was cut short (${error.message})`));
          answer.resume().on('end', () => resolve(String(answer.statusCode)));
        },
      );
      call.on('timeout', () => call.destroy(new Error('no answer in 30 s')));
      call.on('error', (error) => resolve(error.message));
      call.end(method === 'POST' ? 'an order' : undefined);
    });
  }
}
