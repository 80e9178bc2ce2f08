import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Lateness, watchLateness, worstLateness } from '../process/lateness.ts';
import type { Figure, Storm, StormSurroundings } from './definition.ts';
import { atMost, none, shown, timed } from './figures.ts';
import { type StormGateway, startStormGateway, startStormService } from './gateway.ts';
import { limitPerClient, type Round, Rounds } from './limit-rounds.ts';
import { type Outage, outages, type Servers, startServers } from './redis-outages.ts';
import { lackOf } from './versions.ts';

const clientCount = 4_000; // one per round, so that every round begins with an unused limit
const waitMs = 200;
const schedulingMs = 100;
const healedMs = 5_000;
const giveUpMs = 8_000;

/** Exact limits while Redis fails in every way. */
export const redis: Storm = {
  name: 'redis',
  title: 'Redis fails',
  done: `Three gateways share one Redis: two with \`whenRedisFails\` \`allow\`, one with \`reject\`. All the time, rounds of 45 requests of a client whose limit is ${limitPerClient} are sent to the three at once, about ten rounds per second; each round is a client of its own. Meanwhile Redis is killed, frozen, flushed, failed over, full, and read-only, for 3 s each (quick: 1 s). \`killed\`: SIGKILL, then a start without data. \`frozen\`: SIGSTOP. \`flushed\`: SCRIPT FLUSH after every tenth of a second. \`failed over\`: a replica is promoted, the old primary becomes its replica and keeps its connections, and new connections lead to the new primary at the end. \`full\`: no memory is left (\`maxmemory\`). \`read-only\`: it becomes a replica of a server that does not exist.`,
  owed: `A round is exact when exactly ${limitPerClient} requests pass and each answer was counted. While Redis is well, and when its scripts are flushed, every round is exact. No request waits longer than ${waitMs} ms for Redis, and ${schedulingMs} ms for everything else. At most ${healedMs / 1000} s after the end of an outage the first of ten exact rounds begins. During an outage \`allow\` lets too many pass and \`reject\` refuses too many with 503, as configured: these figures are only shown.`,
  lacks: ({ subject }) => (subject.level < 3 ? 'limits begin with phase 3' : lackOf('redis-server')),

  async run(around) {
    const service = await startStormService();
    const figures: Figure[] = [];
    const well: Round[] = [];
    const rounds: Round[] = [];
    const latenesses: Lateness[] = [];
    for (const direct of [true, false]) {
      const servers = await startServers();
      let gateways = await startGateways(
        around,
        service.url,
        direct ? servers.primary.url : servers.relay.url,
      );
      for (const outage of outages.filter((one) => one.direct === direct)) {
        const { all, well: exactly, healed, rows, lateness } = await meet(outage, servers, gateways, around);
        rounds.push(...all);
        well.push(...exactly);
        figures.push(...rows);
        latenesses.push(lateness);
        if (healed) continue;
        // A gateway that does not heal would spoil the outages after this one.
        await Promise.all(gateways.map((gateway) => gateway.stop()));
        gateways = await startGateways(around, service.url, direct ? servers.primary.url : servers.relay.url);
      }
      const crashed = gateways.filter((gateway) => gateway.hasEnded()).length;
      figures.push(none(`crashes (${direct ? 'Redis without a relay' : 'Redis behind a relay'})`, crashed));
      await Promise.all([...gateways.map((gateway) => gateway.stop()), servers.close()]);
    }
    await service.stop();
    const lateness = worstLateness(latenesses);
    const other = sum(rounds, ({ other }) => other);
    return {
      figures: [
        inexact('rounds not exact while Redis is well', well, lateness),
        ...figures,
        none(
          'answers other than 200, 429 and 503',
          other,
          sum(rounds, ({ sent }) => sent),
        ),
      ],
      lateness,
    };
  },
};

async function startGateways(
  { subject }: StormSurroundings,
  service: string,
  redisUrl: string,
): Promise<StormGateway[]> {
  const clients = Array.from({ length: clientCount }, (_, i) => ({
    id: `client-${process.pid}-${i}`, // unlike those of another run, whose counters a Redis may have kept
    keySha256: [createHash('sha256').update(`key-${i}`).digest('hex')],
  }));
  const start = (whenRedisFails: 'allow' | 'reject') =>
    startStormGateway(subject, {
      services: { a: service },
      limit: limitPerClient,
      clients,
      whenRedisFails,
      redisUrl,
    });
  return Promise.all([start('allow'), start('allow'), start('reject')]);
}

/** Sends rounds before, during and after one outage. */
async function meet(
  outage: Outage,
  servers: Servers,
  gateways: StormGateway[],
  { quick, say }: StormSurroundings,
) {
  say(outage.name);
  const rounds = new Rounds(
    gateways.map(({ url }) => url),
    clientCount,
  );
  await rounds.firstExact();
  const late = watchLateness();
  const running = rounds.run();
  await delay(quick ? 1_000 : 3_000);
  const begun = performance.now();
  const ended = await outage.make(servers, quick ? 1_000 : 3_000);
  const enough = quick ? 1_500 : 4_000;
  while (performance.now() < Math.min(rounds.exactFrom(ended) + enough, ended + giveUpMs)) await delay(100);
  const lateness = late();
  rounds.stop();
  await running;
  const exactFrom = rounds.exactFrom(ended);
  const all = rounds.done;
  const before = all.filter((round) => round.ended < begun);
  const during = all.filter((round) => round.ended >= begun && (outage.exact || round.begun < exactFrom));
  const after = all.filter((round) => round.begun >= exactFrom);
  const tooMany = sum(during, ({ passed }) => Math.max(0, passed - limitPerClient));
  const tooFew = sum(during, ({ passed }) => Math.max(0, limitPerClient - passed));
  const refused = sum(during, ({ refused }) => refused);
  const longest = Math.max(...all.map(({ longestMs }) => longestMs));
  const { name } = outage;
  const rows = [
    ...(outage.exact
      ? [inexact(`${name}: rounds not exact`, during, lateness)]
      : [
          shown(
            `${name}: too many, too few, refused with 503`,
            `${tooMany}, ${tooFew}, ${refused} of ${sum(during, ({ sent }) => sent)}`,
          ),
          atMost(
            `${name}: exact again after`,
            (exactFrom - ended) / 1000,
            healedMs / 1000,
            's',
            timed(1_000, lateness),
          ),
        ]),
    atMost(`${name}: longest request`, longest, waitMs + schedulingMs, 'ms', timed(schedulingMs, lateness)),
  ];
  return { all, well: [...before, ...after], healed: exactFrom < Infinity, rows, lateness };
}

/** Rounds that are not exact. A process that gets no CPU time for 200 ms does not count a request, so they are timed. */
function inexact(name: string, rounds: Round[], lateness: Lateness): Figure {
  return none(
    name,
    rounds.filter(({ exact }) => !exact).length,
    rounds.length,
    timed(schedulingMs, lateness),
  );
}

function sum(rounds: Round[], figure: (round: Round) => number): number {
  return rounds.reduce((total, round) => total + figure(round), 0);
}
