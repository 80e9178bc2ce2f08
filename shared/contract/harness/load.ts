import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect } from 'vitest';
import { median } from '../../metrics/statistics.ts';
import { endEveryProgram, startProgram } from '../../process/program.ts';
import { answersIn, type Connection, connect, send, until } from './client.ts';
import type { Gateway } from './gateway.ts';

/** What each of five connections sends. It sends again when the gateway has closed it. */
export type Load =
  /** A request whose body has no end. It consists of this part, as often as the gateway reads it. */
  | { head: string; part: string }
  /** `depth` requests at a time, and the next ones when all of them are answered. */
  | { head: string; depth: number };

/** A process that keeps a gateway busy, so that the process of the tests can measure. */
export interface LoadProcess {
  /** A service that reads and discards every body. */
  readonly sinkUrl: string;
  start(gateway: Gateway, load: Load): void;
  /** Resolves when the connections are closed. */
  stop(): Promise<void>;
}

afterAll(endEveryProgram);

export async function startLoadProcess(): Promise<LoadProcess> {
  const words = [process.execPath, join(import.meta.dirname, 'load-process.mjs')];
  const { child } = startProgram(words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [{ sinkPort }] = (await once(child, 'message')) as [{ sinkPort: number }];
  return {
    sinkUrl: `http://127.0.0.1:${sinkPort}`,
    start: ({ host, port }, load) => void child.send({ start: { host, port, connections: 5, ...load } }),
    async stop() {
      const stopped = once(child, 'message');
      child.send({ stop: true });
      await stopped;
    },
  };
}

/** Anonymous uploads to this target, whose chunks have `size` bytes. */
export function uploadsInChunksOf(size: number, target: string): Load {
  return {
    head: `POST ${target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`,
    part: `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`,
  };
}

/** How fast a gateway serves other clients. */
interface Speed {
  answers: number;
  /** Half of the requests take no longer than this. */
  medianMs: number;
}

// Longer than a gateway waits before it closes the connection of a refused upload, so that each round has all of it.
const measuredMs = 2_500;
const warmUpMs = 500;
const rounds = 6;

/**
 * Asserts that under an unusual load other clients wait at most twice as long as under the usual one, in at least one
 * round. Other processes on the machine disturb single rounds; a gateway that is not fair fails in all of them.
 */
export async function expectFair(
  gateway: Gateway,
  target: string,
  load: LoadProcess,
  { usual, unusual }: { usual: Load; unusual: Load },
): Promise<void> {
  const under = async (kind: Load): Promise<Speed> => {
    await until(() => isIdle(gateway), 'the gateway answers at once when the load has ended', 15_000);
    load.start(gateway, kind);
    try {
      return await measure(gateway, target, measuredMs);
    } finally {
      await load.stop();
    }
  };
  const measured: Array<{ usual: Speed; unusual: Speed }> = [];
  await measure(gateway, target, warmUpMs); // the first answers of a process are slower than the rest
  while (measured.length < rounds && !measured.some(isFair)) {
    measured.push({ usual: await under(usual), unusual: await under(unusual) });
  }
  expect(measured.some(isFair), `at most twice as slow in one of ${JSON.stringify(measured)}`).toBe(true);
}

function isFair({ usual, unusual }: { usual: Speed; unusual: Speed }): boolean {
  return unusual.answers >= usual.answers / 2 && unusual.medianMs <= 2 * usual.medianMs;
}

async function isIdle(gateway: Gateway): Promise<boolean> {
  const begin = performance.now();
  await send(gateway, '/health');
  return performance.now() - begin < 100;
}

/** Twenty clients: each sends GET, and the next one when it has the answer, which must be 200. */
async function measure(gateway: Gateway, target: string, ms: number): Promise<Speed> {
  const latencies: number[] = [];
  let answers = 0;
  const wrong: string[] = [];
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(gateway)));
  const sentAt = new Map<Connection, number>();
  const ask = (client: Connection) => {
    sentAt.set(client, performance.now());
    client.socket.write(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
  };
  const waited = (client: Connection) => performance.now() - (sentAt.get(client) as number);
  for (const client of clients) {
    let text = '';
    client.socket.on('data', (part: string) => {
      text += part;
      const [answer] = answersIn(text);
      if (!answer) return;
      text = '';
      answers++;
      latencies.push(waited(client));
      if (answer.status !== 200) wrong.push(answer.text);
      ask(client);
    });
    ask(client);
  }
  await sleep(ms);
  // An answer that has not come yet takes at least this long.
  for (const client of clients) latencies.push(waited(client));
  wrong.push(...clients.filter(({ closed }) => closed()).map(() => 'a connection was closed'));
  for (const { socket } of clients) socket.destroy();
  expect(wrong).toEqual([]);
  return { answers, medianMs: median(latencies) };
}
