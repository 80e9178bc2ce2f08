import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Figure, Storm } from './definition.ts';
import { atMost, none, shown } from './figures.ts';
import { type StormGateway, startStormGateway, startStormService } from './gateway.ts';

const callerCount = 20;
const idleMs = 1_000;
const sweepMs = [-4, 3] as const;
const redeployEveryMs = 500;
const mostPercent = 1;

/** Connections to a service that end when a request is about to use them. */
export const kept: Storm = {
  name: 'kept',
  title: 'Kept connections that a service ends',
  done: `A service closes a connection ${idleMs / 1000} s after its last answer, without announcing it. ${callerCount} requests at a time are sent ${idleMs / 1000} s after the answers before, ${-sweepMs[0]} ms earlier to ${sweepMs[1]} ms later, for a minute (quick: 8 s). Then ${callerCount} callers send requests without a pause while the service closes all idle connections at once and listens on, twice a second for 20 s (quick: 5 s), as nginx does on a reload.`,
  owed: `The gateway never sends a request twice, so a request that crosses the close on its way gets 502 \`upstream-reset\`. Of the requests that meet the close of an idle connection, these are at most ${mostPercent} %. How many a redeploy costs depends on how many are on their way at that moment; they are only shown. No circuit opens, because a reset of a reused connection says nothing about the health of the service.`,
  lacks: () => undefined,

  async run({ subject, quick, say }) {
    const figures: Figure[] = [];
    const part = async (title: string, env: Record<string, string>, act: typeof waves, limited: boolean) => {
      const service = await startStormService(env);
      const gateway = await startStormGateway(subject, {
        services: { a: service.url },
        circuitBreaker: { failureThreshold: 3, cooldownMs: 30_000 },
      });
      say(title);
      const statuses = await act(gateway, service.pid, quick);
      const count = (status: number) => statuses.filter((one) => one === status).length;
      figures.push(
        limited
          ? atMost(`${title}: 502`, (100 * count(502)) / statuses.length, mostPercent, '%')
          : shown(`${title}: 502`, String(count(502))),
        none(
          `${title}: answers other than 200 and 502`,
          statuses.length - count(200) - count(502),
          statuses.length,
        ),
        ...(subject.level >= 4
          ? [none(`${title}: circuits that opened`, gateway.logged('circuit opened'))]
          : []),
      );
      await Promise.all([gateway.stop(), service.stop()]);
    };
    await part('closed when idle', { CLOSE_IDLE_MS: String(idleMs) }, waves, true);
    await part('redeployed', {}, redeploys, false);
    return { figures };
  },
};

/** Requests that meet connections which are just being closed. */
async function waves(gateway: StormGateway, _service: number, quick: boolean): Promise<number[]> {
  const agent = new Agent({ keepAlive: true });
  const statuses: number[] = [];
  const end = performance.now() + (quick ? 8_000 : 60_000);
  const [earliest, latest] = sweepMs;
  while (performance.now() < end) {
    statuses.push(...(await Promise.all(Array.from({ length: callerCount }, () => ask(gateway, agent)))));
    await delay(idleMs + earliest + Math.random() * (latest - earliest));
  }
  agent.destroy();
  return statuses;
}

/** Requests without a pause, while the service closes its idle connections. */
async function redeploys(gateway: StormGateway, service: number, quick: boolean): Promise<number[]> {
  const agent = new Agent({ keepAlive: true });
  const statuses: number[] = [];
  const end = performance.now() + (quick ? 5_000 : 20_000);
  const caller = async () => {
    while (performance.now() < end) {
      statuses.push(await ask(gateway, agent));
      await delay(20 * Math.random());
    }
  };
  const redeploy = async () => {
    while (performance.now() < end) {
      await delay(redeployEveryMs);
      process.kill(service, 'SIGHUP');
    }
  };
  await Promise.all([redeploy(), ...Array.from({ length: callerCount }, caller)]);
  agent.destroy();
  return statuses;
}

function ask({ port }: StormGateway, agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    const call = get({ host: '127.0.0.1', port, path: '/a/ok', agent }, (answer) => {
      answer.on('error', () => resolve(0));
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
    });
    call.on('error', () => resolve(0));
  });
}
