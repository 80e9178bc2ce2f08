import { setTimeout as delay } from 'node:timers/promises';
import { isHealthy } from '../process/ask.ts';
import { memoryBytes } from '../process/cpu.ts';
import { until } from '../process/until.ts';
import { kindsOfAbort, oneClient } from './abort-clients.ts';
import { lackOfDescriptors } from './connections.ts';
import type { Figure, Storm } from './definition.ts';
import { atMost, none, shown, timed, withUnit } from './figures.ts';
import { startStormGateway, startStormService } from './gateway.ts';
import { countDescriptors, countSeries, usedBytes } from './gateway-state.ts';

const workerCount = 30;
const pauseMs = 60; // about 300 clients per second: more would use up the ports of the machine
const bytesPerMb = 1024 * 1024;
const spareMb = 4;
const spareDescriptors = 5;
const spareSeries = 10; // a rare pair of labels may appear late
const calmMs = 20_000;
const linux = process.platform === 'linux';

interface State {
  usedBytes: number;
  residentBytes: number;
  descriptors: number;
  series: number;
}

/** Clients that leave, and services that fail, in every way. */
export const aborts: Storm = {
  name: 'aborts',
  title: 'Aborts and errors',
  done: `About 300 clients per second for 10 minutes (quick: 20 s). Each behaves in one of ${kindsOfAbort} ways, chosen at random: it leaves before, in or after the header or the body of its request, before or in the answer, with a FIN or a reset; it pipelines requests and leaves; it sends garbage or too large a header; or it behaves well. The service answers well, slowly, with 500, never, or with garbage, and cuts or resets its connection at every stage. The circuit opens after 5 failures and closes after 100 ms, so it does so all the time. In the middle and at the end the clients stop until the gateway is idle, and memory, descriptors and metric series are read.`,
  owed: `At the end, memory is at most 10 % and ${spareMb} MB above that in the middle. It is measured after a garbage collection; for a gateway that is not a phase it is the resident memory, with 25 %. There are at most ${spareDescriptors} descriptors more than in the middle, and at most ${spareSeries} metric series more. \`/health\` answers all the time.`,
  lacks: () => lackOfDescriptors(1_000),

  async run({ subject, quick, say }) {
    const halfMs = quick ? 10_000 : 300_000;
    const service = await startStormService();
    const gateway = await startStormGateway(subject, {
      services: { a: service.url, b: service.url },
      timeoutMs: 500,
      circuitBreaker: { failureThreshold: 5, cooldownMs: 100 },
    });
    let clients = 0;
    let unhealthy = 0;
    const storm = async (ms: number) => {
      const end = performance.now() + ms;
      const worker = async () => {
        while (performance.now() < end && !gateway.hasEnded()) {
          await oneClient(gateway.port, clients++);
          await delay(2 * pauseMs * Math.random());
        }
      };
      const health = async () => {
        while (performance.now() < end) {
          if (!(await isHealthy(gateway.port))) unhealthy += 1;
          await delay(500);
        }
      };
      await Promise.all([health(), ...Array.from({ length: workerCount }, worker)]);
    };
    const idleDescriptors = linux ? countDescriptors(gateway.pid) : 0;
    const state = async (): Promise<State> => {
      // Connections to the service are kept for some seconds. Those that are lost never close.
      const calm = () => !linux || countDescriptors(gateway.pid) <= idleDescriptors + spareDescriptors;
      await until(calm, '', calmMs).catch(() => {});
      return {
        usedBytes: await usedBytes(subject, gateway),
        residentBytes: memoryBytes(gateway.pid).now,
        descriptors: linux ? countDescriptors(gateway.pid) : Number.NaN,
        series: subject.level >= 5 ? await countSeries(gateway) : Number.NaN,
      };
    };
    say('first half');
    await storm(halfMs);
    const middle = await state();
    say('second half');
    await storm(halfMs);
    const end = await state();
    const opened = gateway.logged('circuit opened');
    const bugs = gateway.logged('internal error');
    const figures = [
      shown('clients', clients.toLocaleString('en')),
      ...(subject.level >= 4 ? [shown('times that a circuit opened', opened.toLocaleString('en'))] : []),
      ...growth(subject.isPhase, middle, end),
      none('health checks without a 200 within 5 s', unhealthy, undefined, timed(1_000)),
      none('internal errors in the log', bugs),
      none('crashes', Number(gateway.hasEnded())),
    ];
    await Promise.all([gateway.stop(), service.stop()]);
    return { figures };
  },
};

function growth(isPhase: boolean, middle: State, end: State): Figure[] {
  const factor = isPhase ? 1.1 : 1.25;
  const before = middle.usedBytes / bytesPerMb;
  return [
    atMost(
      `memory at the end (in the middle: ${withUnit(before, 'MB')})`,
      end.usedBytes / bytesPerMb,
      factor * before + spareMb,
      'MB',
    ),
    shown(
      'resident memory in the middle and at the end',
      `${withUnit(middle.residentBytes / bytesPerMb, 'MB')}, ${withUnit(end.residentBytes / bytesPerMb, 'MB')}`,
    ),
    ...(Number.isNaN(end.descriptors)
      ? []
      : [
          atMost(
            `descriptors at the end (in the middle: ${middle.descriptors})`,
            end.descriptors,
            middle.descriptors + spareDescriptors,
            '',
          ),
        ]),
    ...(Number.isNaN(end.series)
      ? []
      : [
          atMost(`metric series at the end (in the middle: ${middle.series})`, end.series, middle.series, ''),
        ]),
  ];
}
