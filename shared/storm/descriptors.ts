import { spawnSync } from 'node:child_process';
import type net from 'node:net';
import { isHealthy } from '../process/ask.ts';
import { until } from '../process/until.ts';
import { open } from './connections.ts';
import type { Storm } from './definition.ts';
import { atMost, must, none, shown, timed } from './figures.ts';
import { startStormGateway, startStormService } from './gateway.ts';
import { countDescriptors } from './gateway-state.ts';

const spareDescriptors = 100;
const clientCount = 3 * spareDescriptors;
const stayMs = 300;
const reconnectMs = 100;

/** The gateway has no descriptors left. */
export const descriptors: Storm = {
  name: 'descriptors',
  title: 'Descriptors used up',
  done: '`prlimit` leaves the gateway 100 descriptors more than it has open. 300 clients connect, send one request each, stay for a third of a second after its answer, leave, and connect again, for 10 s (quick: 3 s). Then all leave.',
  owed: 'A request for which no connection to the service can be opened gets 503 `gateway-exhausted`. No circuit opens, because the service is healthy. Within a second after the clients have left, a request is answered with 200. The gateway does not crash.',
  lacks: () =>
    process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0
      ? undefined
      : 'it needs prlimit, which only Linux has (package util-linux)',

  async run({ subject, quick, say }) {
    const service = await startStormService();
    const gateway = await startStormGateway(subject, {
      services: { a: service.url },
      circuitBreaker: { failureThreshold: 3, cooldownMs: 30_000 },
    });
    const limit = countDescriptors(gateway.pid) + spareDescriptors;
    if (spawnSync('prlimit', ['--pid', String(gateway.pid), `--nofile=${limit}:`]).status !== 0) {
      throw new Error('prlimit has failed.');
    }
    say(`${clientCount} clients share ${spareDescriptors} descriptors`);
    const answers = new Map<string, number>();
    const sockets = new Set<net.Socket>();
    let over = false;
    const connect = async (): Promise<void> => {
      const socket = await open(gateway.port);
      if (over) return void socket.destroy();
      sockets.add(socket);
      socket.setEncoding('latin1').once('data', (text: string) => {
        const status = text.slice(9, 12);
        const word = /urn:gateway:problem:([\w-]+)/.exec(text)?.[1];
        const kind = word ? `${status} ${word}` : status;
        answers.set(kind, (answers.get(kind) ?? 0) + 1);
        setTimeout(() => socket.destroy(), stayMs);
      });
      socket.once('close', () => {
        sockets.delete(socket);
        if (!over) setTimeout(connect, reconnectMs);
      });
      socket.write('GET /a/slow HTTP/1.1\r\nHost: gateway\r\n\r\n');
      if (socket.destroyed) socket.emit('close');
    };
    await Promise.all(Array.from({ length: clientCount }, connect));
    const later = performance.now() + (quick ? 3_000 : 10_000);
    let usedUp = false;
    await until(
      () => {
        usedUp ||= !gateway.hasEnded() && countDescriptors(gateway.pid) >= limit - 1;
        return performance.now() > later;
      },
      'the storm is over',
      20_000,
    );
    over = true;
    for (const socket of sockets) socket.destroy();
    const left = performance.now();
    const isServed = () => isHealthy(gateway.port, { path: '/a/ok', timeoutMs: 1_000 });
    const recovered = await until(isServed, 'a request is answered', 10_000).then(
      () => performance.now() - left,
      () => Number.NaN,
    );
    const opened = gateway.logged('circuit opened');
    const crashed = gateway.hasEnded();
    await Promise.all([gateway.stop(), service.stop()]);
    const exhausted = answers.get('503 gateway-exhausted') ?? 0;
    const total = [...answers.values()].reduce((sum, count) => sum + count, 0);
    return {
      figures: [
        must('all descriptors were used up', 'yes', usedUp ? 'yes' : 'no', usedUp),
        must('answers 503 gateway-exhausted', 'at least 1', String(exhausted), exhausted > 0),
        none('answers other than that and 200', total - exhausted - (answers.get('200') ?? 0), total),
        ...(subject.level >= 4 ? [none('circuits that opened', opened)] : []),
        atMost('from the end to the next 200', recovered, 1_000, 'ms', timed(500)),
        none('crashes', Number(crashed)),
        shown('all answers', [...answers].map(([kind, count]) => `${count} × ${kind}`).join(', ')),
      ],
    };
  },
};
