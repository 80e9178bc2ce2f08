import { CliError } from '../cli/cli-error.ts';
import { type Answer, slowest, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

const requests = 10;
const noticeableMs = 150;
const key = 'gateway:{address:127.0.0.1}';

export const redisHung: Drill = {
  name: 'redis-hung',
  phase: 3,
  about: 'Redis keeps its connections and says nothing. How long do callers wait?',
  needsRedis: true,
  setUp: [
    'A gateway of phase 3 counts in Redis, and "whenRedisFails" is "allow".',
    'Redis is stopped with SIGSTOP: it does not die, its connections stay open, and no command is answered.',
    `A caller sends ${requests} requests, one after another.`,
  ],
  question: 'How long does it wait?',
  choices: {
    a: 'Not at all: the gateway sees at once that Redis is gone',
    b: `200 ms each time, ${(requests * 200) / 1000} s together: every request tries Redis anew`,
    c: '200 ms for the first answer, and not at all for the others',
    d: 'Until TCP gives the connection up, after minutes',
  },
  expected: 'c',

  async run(scene: Scene) {
    // Where there is a redis-server all the same, as by a port of it.
    if (process.platform === 'win32')
      throw new CliError('Windows cannot stop a process: run this drill in WSL.');
    const redis = await scene.redis();
    const service = await scene.service(always(200));
    const gateway = await scene.gateway({ phase: 3, name: 'phase 3', service, redisUrl: redis.url });
    const get = () => gateway.get('/api/inventory/1');

    const well = [await get(), await get(), await get()];
    scene.say('client', `3 requests: ${tally(well)}; the slowest took ${slowest(well)} ms`);
    const before = await redis.command('GET', key);
    scene.say('redis', `counts ${before}, then it is stopped`);
    redis.freeze();
    const answers: Answer[] = [];
    for (let i = 1; i <= requests; i++) {
      const answer = await get();
      answers.push(answer);
      scene.say('client', `request ${i}: ${answer.status} after ${Math.round(answer.ms)} ms`);
    }
    redis.thaw();
    scene.say('redis', 'goes on');
    await gateway.logged('redis found');
    const after = await redis.command('GET', key);
    scene.say('redis', `counts ${after}`);

    const waited = answers.filter(({ ms }) => ms >= noticeableMs);
    let answer: string | undefined;
    if (waited.length === 0) answer = 'a';
    else if (waited.length === 1 && waited[0] === answers[0]) answer = 'c';
    else if (waited.length === requests) answer = 'b';
    return {
      answer,
      measured: [
        `${waited.length} of ${requests} requests waited, the longest for ${slowest(answers)} ms.`,
        `The counter stood at ${before} before, and stands at ${after} after Redis woke up.`,
      ],
    };
  },

  explain:
    'TCP does not notice a hung process: the connection is open, the bytes are taken. Only a clock helps. A request ' +
    'gives Redis 200 ms, once; the first one that is let down declares Redis lost, and from then on requests pass by ' +
    'while a probe in the background goes on asking. A socket that stays silent for a second is closed. One trap has ' +
    'no cure: the command that nobody waited for is still in the pipe, and Redis carries it out when it wakes, so a ' +
    'request may be counted that was served without a limit.',
  code: [
    { file: 'redis.ts', marker: 'const COMMAND_BUDGET_MS', why: 'the longest a request may wait' },
    { file: 'redis.ts', marker: 'if (this.#lost) return null', why: 'after the first, nobody waits' },
    { file: 'redis.ts', marker: 'socketTimeout: 1000', why: 'what TCP would take minutes for' },
  ],
  next: [
    'npm run drill -- slow-service      a hung service instead of a hung Redis',
    'phases/3-rate-limiting/redis.ts    the class FixedWindows',
  ],
};
