import type { Storm } from './definition.ts';
import { limitPerClient } from './limit-rounds.ts';
import { healedMs, meetOutages, outagesOf, type Stage, schedulingMs, waitMs } from './meet-outages.ts';
import { outages, startServers } from './redis-outages.ts';
import { lackOf } from './versions.ts';

/** Exact limits while Redis fails in every way. */
export const redis: Storm = {
  name: 'redis',
  title: 'Redis fails',
  done: `Three gateways share one Redis: two with \`whenRedisFails\` \`allow\`, one with \`reject\`. All the time, rounds of 45 requests of a client whose limit is ${limitPerClient} are sent to the three at once, about ten rounds per second; each round is a client of its own. Meanwhile Redis is killed, frozen, flushed, failed over, full, and read-only, for 3 s each (quick: 1 s). \`killed\`: SIGKILL, then a start without data. \`frozen\`: SIGSTOP. \`flushed\`: SCRIPT FLUSH after every tenth of a second. \`failed over\`: a replica is promoted, the old primary becomes its replica and keeps its connections, and new connections lead to the new primary at the end. \`full\`: no memory is left (\`maxmemory\`). \`read-only\`: it becomes a replica of a server that does not exist.`,
  owed: `A round is exact when exactly ${limitPerClient} requests pass and each answer was counted. While Redis is well, and when its scripts are flushed, every round is exact. No request waits longer than ${waitMs} ms for Redis, and ${schedulingMs} ms for everything else. At most ${healedMs / 1000} s after the end of an outage the first of ten exact rounds begins. During an outage \`allow\` lets too many pass and \`reject\` refuses too many with 503, as configured: these figures are only shown.`,
  lacks: ({ subject }) => (subject.level < 3 ? 'limits begin with phase 3' : lackOf('redis-server')),

  run: (around) =>
    meetOutages(
      { 'Redis without a relay': () => stageWith(true), 'Redis behind a relay': () => stageWith(false) },
      around,
    ),
};

async function stageWith(direct: boolean): Promise<Stage> {
  const servers = await startServers();
  const chosen = outages.filter((outage) => outage.direct === direct);
  const { url } = direct ? servers.primary : servers.relay;
  return { redisUrl: url, outages: outagesOf(chosen, servers), close: servers.close };
}
