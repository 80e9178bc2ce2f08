import { mkdtempSync, rmSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { GatewayProcess } from '../../process/gateway-process.ts';
import { type RedisCluster, startCluster } from '../../process/redis-cluster.ts';
import { endEveryRedis, type RedisServer, startRedis } from '../../process/redis-process.ts';
import { CliError } from '../../terminal/cli-error.ts';
import { type Client, clientOf } from './client.ts';
import { type DrillGateway, type DrillGatewayOptions, startDrillGateway } from './gateway.ts';
import { type DrillService, startDrillService } from './service.ts';
import { Timeline } from './timeline.ts';

const mostMs = 60_000;
// One Ctrl-C may arrive twice: from the terminal and from npm.
const sameCtrlCMs = 500;
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A signal of the user ends the drill. */
export class Interrupted extends CliError {}

/** The environment of a drill: it starts real processes and services, prints the timeline, and ends them all. */
export class Scene {
  readonly #timeline: Timeline;
  readonly #folder = mkdtempSync(join(tmpdir(), 'gateway-drill-'));
  readonly #over = new AbortController();
  readonly #processes: GatewayProcess[] = [];
  readonly #closers: Array<() => unknown> = [];

  constructor(print: (line: string) => void) {
    this.#timeline = new Timeline(print);
  }

  /** Adds an event to the timeline. */
  say(who: string, what: string): void {
    if (!this.#over.signal.aborted) this.#timeline.say(who, what);
  }

  /** Starts a phase of the gateway as a process of its own. */
  gateway(options: DrillGatewayOptions): Promise<DrillGateway> {
    return startDrillGateway(options, {
      folder: this.#folder,
      signal: this.#over.signal,
      say: (who, what) => this.say(who, what),
      own: (process) => this.#processes.push(process),
    });
  }

  /** A client for a gateway that is not a phase. */
  client(url: string): Client {
    return clientOf(url, this.#over.signal);
  }

  /** Starts a redis-server of its own. */
  redis(): Promise<RedisServer> {
    this.#over.signal.throwIfAborted();
    return startRedis();
  }

  /** Starts a Redis Cluster of three shards, each with a replica. */
  cluster(): Promise<RedisCluster> {
    this.#over.signal.throwIfAborted();
    return startCluster();
  }

  /** Starts a service that behaves like this. */
  async service(handler: RequestListener): Promise<DrillService> {
    const service = await startDrillService(handler);
    this.atEnd(() => service.close());
    return service;
  }

  /** Registers a function that is called at the end of the drill, also after a failure. */
  atEnd(close: () => unknown): void {
    this.#closers.push(close);
  }

  /** Waits, in drills that depend on the time. */
  pass(ms: number): Promise<void> {
    return delay(Math.max(0, ms), undefined, { signal: this.#over.signal });
  }

  /** Runs until the drill ends, a signal arrives, or the time limit is reached. Then it closes everything. */
  async play<T>(act: (scene: Scene) => Promise<T>): Promise<T> {
    let end: (reason: Error) => void = () => {};
    const ended = new Promise<never>((_, reject) => {
      end = reject;
    });
    let firstMs: number | undefined;
    const interrupt = () => {
      firstMs ??= performance.now();
      if (performance.now() - firstMs > sameCtrlCMs) process.exit(130);
      end(new Interrupted('Stopped. Everything that was started is closed.'));
    };
    for (const signal of signals) process.on(signal, interrupt);
    const limit = setTimeout(
      () => end(new CliError(`The drill was not finished after ${mostMs / 1000} s.`)),
      mostMs,
    );
    try {
      return await Promise.race([act(this), ended]);
    } finally {
      clearTimeout(limit);
      await this.#close();
      for (const signal of signals) process.off(signal, interrupt);
    }
  }

  async #close(): Promise<void> {
    this.#over.abort(new Interrupted('The drill is over.'));
    // Services and Redis first: a gateway that drains would wait for their replies.
    await Promise.all([endEveryRedis(), ...this.#closers.map((close) => close())]);
    await Promise.all(this.#processes.map((process) => process.stop()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
