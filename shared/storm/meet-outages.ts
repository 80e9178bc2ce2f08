import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Lateness, watchLateness, worstLateness } from '../process/lateness.ts';
import type { Figure, Outcome, StormSurroundings } from './definition.ts';
import { atMost, none, shown, timed } from './figures.ts';
import { type StormGateway, startStormGateway, startStormService } from './gateway.ts';
import { limitPerClient, type Round, Rounds } from './limit-rounds.ts';

const clientCount = 4_000; // one per round, so that every round begins with an unused limit

/** How long a request waits for Redis at most. */
export const waitMs = 200;
/** How much longer it may take for everything else. */
export const schedulingMs = 100;
/** How soon after an outage limits must be exact again. */
export const healedMs = 5_000;
const giveUpMs = 8_000;

/** One way in which Redis fails. `Setting`: the servers that it needs. */
export interface Outage<Setting> {
  name: string;
  /** Limits stay exact all the time. */
  exact?: true;
  /** Makes the outage, which lasts about `ms`, and returns the time of its end. */
  make(setting: Setting, ms: number): Promise<number>;
}

/** Redis servers that fail, and the REDIS_URL that leads to them. */
export interface Stage {
  redisUrl: string;
  outages: Array<Outage<void>>;
  close(): Promise<unknown>;
}

/** The outages of these servers. */
export function outagesOf<Setting>(outages: Array<Outage<Setting>>, setting: Setting): Array<Outage<void>> {
  return outages.map((outage) => ({ ...outage, make: (_, ms) => outage.make(setting, ms) }));
}

/**
 * Lets Redis fail on each stage in each of its ways, and counts the requests that the limit did not treat as it should.
 * The name of a stage stands in a figure: `crashes (…)`.
 */
export async function meetOutages(
  stages: Record<string, () => Promise<Stage>>,
  around: StormSurroundings,
): Promise<Outcome> {
  const service = await startStormService();
  const figures: Figure[] = [];
  const well: Round[] = [];
  const rounds: Round[] = [];
  const latenesses: Lateness[] = [];
  for (const [name, start] of Object.entries(stages)) {
    const { redisUrl, outages, close } = await start();
    let gateways = await startGateways(around, service.url, redisUrl);
    for (const outage of outages) {
      const { all, well: exactly, healed, rows, lateness } = await meet(outage, gateways, around);
      rounds.push(...all);
      well.push(...exactly);
      figures.push(...rows);
      latenesses.push(lateness);
      if (healed) continue;
      // A gateway that does not heal would spoil the outages after this one.
      await Promise.all(gateways.map((gateway) => gateway.stop()));
      gateways = await startGateways(around, service.url, redisUrl);
    }
    const crashed = gateways.filter((gateway) => gateway.hasEnded()).length;
    figures.push(none(`crashes (${name})`, crashed));
    await Promise.all([...gateways.map((gateway) => gateway.stop()), close()]);
  }
  await service.stop();
  const lateness = worstLateness(latenesses);
  const other = sum(rounds, ({ other }) => other);
  const sent = sum(rounds, ({ sent }) => sent);
  return {
    figures: [
      inexact('rounds not exact while Redis is well', well, lateness),
      ...figures,
      none('answers other than 200, 429 and 503', other, sent),
    ],
    lateness,
  };
}

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
async function meet(outage: Outage<void>, gateways: StormGateway[], { quick, say }: StormSurroundings) {
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
  const ended = await outage.make(undefined, quick ? 1_000 : 3_000);
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
