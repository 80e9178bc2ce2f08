import { CliError } from '../terminal/cli-error.ts';
import { type DrillResponse, slowest, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

const requests = 10;
const noticeableMs = 150;
const key = 'gateway:{address:127.0.0.1}';

export const redisHung: Drill = {
  name: 'redis-hung',
  phase: 3,
  about: 'Redis keeps its connections but does not answer. How long do clients wait?',
  needsRedis: true,
  setUp: [
    'A gateway of phase 3 counts in Redis, and "whenRedisFails" is "allow".',
    'Redis is stopped with SIGSTOP: its process and its connections remain, but it answers no command.',
    `A client sends ${requests} requests, one after another.`,
  ],
  question: 'How long does the client wait?',
  choices: {
    a: 'Not at all: the gateway notices at once that Redis is stopped',
    b: `200 ms for each response, ${(requests * 200) / 1000} s in total: every request tries Redis again`,
    c: 'About half a second in total: up to 200 ms for each of the first responses, and not at all for the others',
    d: 'Several minutes, until TCP gives up the connection',
  },
  expected: 'c',

  async run(scene: Scene) {
    // A redis-server that was ported to Windows may be on PATH.
    if (process.platform === 'win32') throw new CliError('Windows has no SIGSTOP: run this drill in WSL.');
    const redis = await scene.redis();
    const service = await scene.service(always(200));
    const gateway = await scene.gateway({ phase: 3, name: 'phase 3', service, redisUrl: redis.url });
    const get = () => gateway.get('/api/inventory/1');

    const well = [await get(), await get(), await get()];
    scene.say('client', `3 requests: ${tally(well)}; the slowest took ${slowest(well)} ms`);
    const before = await redis.command('GET', key);
    scene.say('redis', `has counted ${before} requests, and is stopped now`);
    redis.freeze();
    const answers: DrillResponse[] = [];
    for (let i = 1; i <= requests; i++) {
      const answer = await get();
      answers.push(answer);
      scene.say('client', `request ${i}: ${answer.status} after ${Math.round(answer.ms)} ms`);
    }
    redis.thaw();
    scene.say('redis', 'continues');
    await gateway.logged('redis found');
    const after = await redis.command('GET', key);
    scene.say('redis', `has counted ${after} requests`);

    const waited = answers.filter(({ ms }) => ms >= noticeableMs);
    let answer: string | undefined;
    if (waited.length === 0) answer = 'a';
    else if (waited.length === requests) answer = 'b';
    else if (waited.every((one, i) => one === answers[i])) answer = 'c';
    return {
      answer,
      measured: [
        `${waited.length} of ${requests} requests waited, the longest for ${slowest(answers)} ms.`,
        `The counter was ${before} before, and is ${after} after Redis continued.`,
      ],
    };
  },

  explain:
    'TCP does not detect a hung process: the connection is open, and the kernel accepts the bytes. Only a timeout detects ' +
    'it. A request waits for Redis at most 200 ms. One late reply is no outage yet, but when nothing has arrived for 500 ms, ' +
    'Redis is lost. From then on requests skip Redis, while the gateway opens new connections in the background, until one ' +
    'can count. One effect cannot be avoided: the command that timed out is still in the socket buffer, and Redis ' +
    'executes it when it continues. So a request that was served without a limit may be counted later.',
  code: [
    {
      file: 'fixed-window.ts',
      marker: 'const COMMAND_BUDGET_MS',
      why: 'the longest time that a request waits',
    },
    {
      file: 'fixed-window.ts',
      marker: 'if (this.#down) return null',
      why: 'when Redis is lost, no request waits',
    },
    {
      file: 'fixed-window.ts',
      marker: 'const SILENCE_MS',
      why: 'when Redis is lost; TCP alone would take minutes',
    },
  ],
  next: [
    'npm run drill -- slow-service            a hung service instead of a hung Redis',
    'phases/3-rate-limiting/fixed-window.ts   the class FixedWindows',
  ],
};
