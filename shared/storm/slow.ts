import type net from 'node:net';
import { worstLateness } from '../process/lateness.ts';
import { inWaves, lackOfDescriptors, open } from './connections.ts';
import type { Storm } from './definition.ts';
import { none, shown } from './figures.ts';
import { startStormGateway, startStormService } from './gateway.ts';
import { countDescriptors, untilCalm } from './gateway-state.ts';
import { askOthers, figuresOfOthers } from './others.ts';

const spareDescriptors = 300;
const byteEveryMs = 500;
const hugeEvery = 20; // of all clients: with more, the answers would fill the memory of the system's TCP
const groupCount = 10; // the clients move in turn, a tenth of them at a time
const countOf = (quick: boolean) => (quick ? 200 : 2_000);

/** A client that moves one byte when it is told to. */
interface SlowClient {
  socket: net.Socket;
  move(): void;
}

/** Clients that send or read one byte at a time. */
export const slow: Storm = {
  name: 'slow',
  title: 'Slow clients',
  done: '2,000 clients (quick: 200) move one byte every half second. A quarter of them send a header like that, a quarter the body of an upload, and half read an answer like that: of 64 KiB, and one in ten of them of 8 MiB, which is more than the system buffers. Other clients send 200 requests per second before, meanwhile and after.',
  owed: 'Other clients are at most twice as slow as without the slow ones. No slow client is cut off, because being slow is not an error.',
  lacks: ({ quick }) => lackOfDescriptors(2 * countOf(quick) + spareDescriptors),

  async run({ subject, quick, say }) {
    const count = countOf(quick);
    const seconds = quick ? 2 : 10;
    const service = await startStormService();
    const gateway = await startStormGateway(subject, { services: { a: service.url } });
    const others = () => askOthers(`${gateway.url}/a/ok`, seconds);
    say('other clients alone');
    await askOthers(`${gateway.url}/a/ok`, 1); // V8 optimises the gateway here
    const before = await others();
    say(`connecting ${count} slow clients`);
    const kinds = [sendsHeader, sendsBody, readsBig, readsBig];
    const clients = await inWaves(count, 100, (i) =>
      (i % hugeEvery === 3 ? readsHuge : (kinds[i % kinds.length] as typeof sendsBody))(gateway.port, i),
    );
    let group = 0;
    const clock = setInterval(() => {
      for (let i = group; i < count; i += groupCount) clients[i]?.move();
      group = (group + 1) % groupCount;
    }, byteEveryMs / groupCount);
    say('other clients beside them');
    const during = await others();
    const descriptors = process.platform === 'linux' ? countDescriptors(gateway.pid) : Number.NaN;
    clearInterval(clock);
    const cut = clients.filter(({ socket }) => socket.destroyed).length;
    for (const { socket } of clients) socket.destroy();
    say('other clients alone again');
    await untilCalm(gateway);
    const after = await others();
    await Promise.all([gateway.stop(), service.stop()]);
    return {
      figures: [
        none('slow clients cut off', cut, count),
        ...figuresOfOthers([before, after], during),
        shown('connections of the gateway meanwhile', descriptors.toLocaleString('en')),
      ],
      lateness: worstLateness([before, during, after].map(({ lateness }) => lateness)),
    };
  },
};

async function sendsHeader(port: number, i: number): Promise<SlowClient> {
  const socket = (await open(port, i)).resume();
  const text = `GET /a/ok HTTP/1.1\r\nHost: gateway\r\nX-Slow: ${'x'.repeat(1000)}`;
  let sent = 0;
  return { socket, move: () => void socket.write(text[sent++] ?? 'x') };
}

async function sendsBody(port: number, i: number): Promise<SlowClient> {
  const socket = (await open(port, i)).resume();
  socket.write('POST /a/ok HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100000\r\n\r\n');
  return { socket, move: () => void socket.write('x') };
}

const readsBig = (port: number, i: number) => readsAnswer(port, i, '/a/big');
const readsHuge = (port: number, i: number) => readsAnswer(port, i, '/a/huge');

async function readsAnswer(port: number, i: number, path: string): Promise<SlowClient> {
  // With a buffer of one byte, Node reads one byte from the socket. Returning false ends the reading.
  const onread = { buffer: Buffer.alloc(1), callback: () => false };
  const socket = await open(port, i, { onread });
  socket.pause();
  socket.write(`GET ${path} HTTP/1.1\r\nHost: gateway\r\n\r\n`);
  return { socket, move: () => void socket.resume() };
}
