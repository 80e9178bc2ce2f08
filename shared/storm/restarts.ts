import { setTimeout as delay } from 'node:timers/promises';
import type { GatewayPorts } from '../process/gateway-process.ts';
import { freePort } from '../process/ports.ts';
import { startHaproxy, startNginxBalancer } from './balancers.ts';
import { Callers, callersPerKind, type Lost } from './callers.ts';
import type { Figure, Storm, StormSurroundings } from './definition.ts';
import { all, must, none, shown } from './figures.ts';
import { type StormGateway, startStormGateway, startStormService } from './gateway.ts';
import { lackOf } from './versions.ts';

const drainDelayMs = 3_000; // longer than the balancer needs: two failed checks, one per second
const stopMs = 20_000;
const seenAgainMs = 1_500; // HAProxy checks once per second

/** Rolling restarts behind two balancers. */
export const restarts: Storm = {
  name: 'restarts',
  title: 'Rolling restarts behind a balancer',
  done: `Two gateways run behind HAProxy with \`shared/stack/haproxy.cfg\`, and at the same time behind nginx with a new connection for every request. nginx has no health checks: it tries the other gateway when it gets no connection, and for a GET also when it gets no answer. ${callersPerKind.GET} callers send GETs and ${callersPerKind.POST} send POSTs to each balancer, about 100 requests per second each. 20 times (quick: 3 times) the gateways are restarted one after the other: SIGTERM, wait for the exit, start on the same port, wait until it is ready. \`DRAIN_DELAY_MS\` is ${drainDelayMs} when the gateway knows it.`,
  owed: 'No GET is lost. A balancer must not send a POST twice, so one can be lost when the gateway closes a connection that it has not read yet; of each lost POST the log of the balancer says why. With `DRAIN_DELAY_MS`, HAProxy is told before the listener closes, so it loses no POST either. Every gateway exits with 0.',
  lacks: () => lackOf('haproxy', 'nginx'),

  async run({ subject, quick, say }) {
    const rounds = quick ? 3 : 20;
    const service = await startStormService();
    const drainDelay = await knowsDrainDelay(subject, service.url);
    const start = async (ports?: GatewayPorts) =>
      startStormGateway(subject, {
        services: { a: service.url },
        ports: ports ?? { port: await freePort(), adminPort: await freePort() },
        env: drainDelay ? { DRAIN_DELAY_MS: String(drainDelayMs) } : {},
      });
    const gateways: [StormGateway, StormGateway] = [await start(), await start()];
    const balancers = await Promise.all([
      startHaproxy(subject.level, gateways),
      startNginxBalancer(gateways),
    ]);
    const callers = new Callers(balancers);
    const running = callers.run();
    let clean = 0;
    for (let round = 1; round <= rounds; round++) {
      for (const i of [0, 1] as const) {
        say(`restart ${round} of ${rounds}, gateway ${i + 1}`);
        clean += Number(await endsCleanly(gateways[i]));
        gateways[i] = await start(gateways[i]);
        await delay(seenAgainMs);
      }
    }
    callers.stop();
    await running;
    const figures: Figure[] = [
      all('gateways that exited with 0', clean, 2 * rounds),
      shown('DRAIN_DELAY_MS', drainDelay ? `${drainDelayMs} ms` : 'not known to this gateway'),
    ];
    const notes: string[] = [];
    for (const balancer of balancers) {
      const { name } = balancer;
      const lost = callers.lost.filter((one) => one.balancer === balancer);
      const of = (method: string) => lost.filter((one) => one.method === method);
      const explanations = await Promise.all(
        lost.map(async (one) => ({
          ...one,
          why: balancer.explain(one.id),
          executed: await wasExecuted(service.url, one),
        })),
      );
      const unexplained = explanations.filter(({ method, why }) => method === 'POST' && why === undefined);
      const posts = callers.sent(balancer, 'POST');
      const must0 = drainDelay && balancer.program === 'haproxy';
      const count = `${of('POST').length} of ${posts.toLocaleString('en')}`;
      figures.push(
        none(`GETs lost behind ${name}`, of('GET').length, callers.sent(balancer, 'GET')),
        must0
          ? none(`POSTs lost behind ${name}`, of('POST').length, posts)
          : shown(`POSTs lost behind ${name}`, count),
        must(
          `lost POSTs that the log of ${name} does not explain`,
          '0',
          String(unexplained.length),
          unexplained.length === 0,
        ),
      );
      notes.push(
        ...explanations.map(
          ({ method, what, why, executed }) =>
            `${name}, ${method}: the client got ${what}; ${executed}. The log says: ${why ?? 'nothing'}.`,
        ),
      );
    }
    await Promise.all([...balancers, ...gateways, service].map((one) => one.stop()));
    return { figures, notes: countEqual(notes) };
  },
};

/** A gateway that knows DRAIN_DELAY_MS does not start with a bad one. */
async function knowsDrainDelay(subject: StormSurroundings['subject'], service: string): Promise<boolean> {
  const start = startStormGateway(subject, { services: { a: service }, env: { DRAIN_DELAY_MS: 'bad' } });
  return start.then(
    async (gateway) => {
      await gateway.stop();
      return false;
    },
    (error: Error) => error.message.includes('DRAIN_DELAY_MS'),
  );
}

/** Sends SIGTERM and waits. False when it ends otherwise than with 0, or does not end. */
async function endsCleanly(gateway: StormGateway): Promise<boolean> {
  process.kill(gateway.pid, 'SIGTERM');
  const ended = gateway.ended.then(
    () => true,
    () => false,
  );
  const clean = await Promise.race([ended, delay(stopMs, false)]);
  if (!gateway.hasEnded()) await gateway.stop();
  return clean;
}

async function wasExecuted(url: string, { method, id }: Lost): Promise<string> {
  if (method === 'GET') return 'a GET may be sent again';
  const answer = await (await fetch(`${url}/was-ordered/${id}`)).text();
  return answer === 'true' ? 'the service has carried it out' : 'the service has not seen it';
}

/** Equal sentences once, with their count. */
function countEqual(notes: string[]): string[] {
  const counts = new Map<string, number>();
  for (const note of notes) counts.set(note, (counts.get(note) ?? 0) + 1);
  return [...counts].map(([note, count]) => `${count} × ${note}`);
}
