import { isHealthy } from '../process/ask.ts';
import { memoryBytes } from '../process/cpu.ts';
import { worstLateness } from '../process/lateness.ts';
import { asksHealth, inWaves, lackOfDescriptors, open } from './connections.ts';
import type { Storm } from './definition.ts';
import { all, atMost, must, shown, withUnit } from './figures.ts';
import { startStormGateway, startStormService } from './gateway.ts';
import { untilCalm, usedBytes } from './gateway-state.ts';
import { askOthers, figuresOfOthers } from './others.ts';

const spareDescriptors = 300;
const mostKb = 32;
const countOf = (quick: boolean) => (quick ? 1_000 : 10_000);

/** Many connections on which nothing happens. */
export const idle: Storm = {
  name: 'idle',
  title: 'Idle client connections',
  done: '10,000 clients (quick: 1,000) connect, send one request to `/health`, and then stay connected without sending anything. Other clients send 200 requests per second before, meanwhile and after. At the end each of the 10,000 sends one more request on its connection.',
  owed: 'Every connection is accepted, and is still open at the end. Other clients are at most twice as slow as without the idle ones. An idle connection costs the gateway at most 32 KB of memory, measured after a garbage collection.',
  lacks: ({ quick }) => lackOfDescriptors(countOf(quick) + spareDescriptors),

  async run({ subject, quick, say }) {
    const count = countOf(quick);
    const seconds = quick ? 2 : 10;
    const service = await startStormService();
    const gateway = await startStormGateway(subject, { services: { a: service.url } });
    const others = () => askOthers(`${gateway.url}/a/ok`, seconds);
    say('other clients alone');
    await askOthers(`${gateway.url}/a/ok`, 1); // V8 optimises the gateway here
    const before = await others();
    const memory = async () => [await usedBytes(subject, gateway), memoryBytes(gateway.pid).now] as const;
    const [used, resident] = await memory();
    say(`connecting ${count} clients`);
    const sockets = await inWaves(count, 200, (i) => open(gateway.port, i));
    const served = async () =>
      (await inWaves(count, 200, (i) => asksHealth(sockets[i]))).filter(Boolean).length;
    const accepted = await served();
    const [usedNow, residentNow] = await memory();
    const perConnection = (bytes: number) => bytes / count / 1024;
    say('other clients beside them');
    const during = await others();
    const health = await isHealthy(gateway.port);
    const stillServed = await served();
    for (const socket of sockets) socket.destroy();
    say('other clients alone again');
    await untilCalm(gateway);
    const after = await others();
    await Promise.all([gateway.stop(), service.stop()]);
    return {
      figures: [
        all('connections accepted', accepted, count),
        all('of these still open and served at the end', stillServed, count),
        must('GET /health from a new connection meanwhile', '200', health ? '200' : 'no 200', health),
        ...figuresOfOthers([before, after], during),
        atMost('memory per idle connection', perConnection(usedNow - used), mostKb, 'KB'),
        shown('the same in resident memory', withUnit(perConnection(residentNow - resident), 'KB')),
      ],
      lateness: worstLateness([before, during, after].map(({ lateness }) => lateness)),
    };
  },
};
