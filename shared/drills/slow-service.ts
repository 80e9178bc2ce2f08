import { type DrillResponse, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';

const requests = 10;
const timeoutMs = 500;
const failureThreshold = 3;

export const slowService: Drill = {
  name: 'slow-service',
  phase: 4,
  about: 'A service does not answer: phase 3 and phase 4 compared',
  setUp: [
    `A service accepts requests and never answers; the gateways time out after ${timeoutMs} ms.`,
    `One client sends ${requests} requests through phase 3, and another ${requests} through phase 4, one after another.`,
    `The circuit of phase 4 opens after ${failureThreshold} failures.`,
  ],
  question: `Phase 3 takes ${(requests * timeoutMs) / 1000} s for its ${requests} responses. How long does phase 4 take?`,
  choices: {
    a: `${(requests * timeoutMs) / 1000} s as well: each request waits for its own timeout`,
    b: `${(failureThreshold * timeoutMs) / 1000} s: the time of ${failureThreshold} timeouts`,
    c: `${timeoutMs / 1000} s: the time of one timeout`,
    d: 'Almost no time: it refuses every request at once',
  },
  expected: 'b',

  async run(scene: Scene) {
    const send = async (phase: number) => {
      const service = await scene.service(() => {});
      const name = `phase ${phase}`;
      const circuitBreaker = { failureThreshold, cooldownMs: 30_000 };
      const gateway = await scene.gateway({ phase, name, service, timeoutMs, circuitBreaker });
      return async () => {
        const answers: DrillResponse[] = [];
        const begun = performance.now();
        for (let i = 1; i <= requests; i++) {
          const answer = await gateway.get('/api/inventory/1');
          answers.push(answer);
          scene.say(name, `request ${i}: ${answer.status} after ${Math.round(answer.ms)} ms`);
        }
        const ms = Math.round(performance.now() - begun);
        scene.say(
          name,
          `all answered after ${ms} ms: ${tally(answers)}; the service got ${service.calls()} requests`,
        );
        return { ms, calls: service.calls(), answers };
      };
    };
    const ready = await Promise.all([send(3), send(4)]);
    scene.say('clients', 'both start sending');
    const [third, fourth] = await Promise.all(ready.map((go) => go()));
    if (!third || !fourth) throw new Error('A result is missing.');

    // Counts responses that took a whole timeout. The total time would not do: on a busy machine, ten small delays add up
    // to the time of a fourth timeout.
    const timeouts = fourth.answers.filter(({ ms }) => ms >= timeoutMs).length;
    return {
      answer: { 0: 'd', 1: 'c', [failureThreshold]: 'b', [requests]: 'a' }[timeouts],
      measured: [
        `Phase 3 took ${third.ms} ms and called the service ${third.calls} times.`,
        `Phase 4 took ${fourth.ms} ms and called it ${fourth.calls} times.`,
      ],
    };
  },

  explain:
    'A timeout protects only one request. The next request waits just as long. While it waits, it holds a connection and ' +
    'memory, and a user waits with it. The circuit counts failures in a row, and a timeout is a failure. After ' +
    `${failureThreshold} failures the gateway refuses requests at once, with 503 and Retry-After, and does not call the ` +
    `service, which gives it time to recover. The first ${failureThreshold} requests still wait for the whole timeout, so ` +
    'timeouts should be short.',
  code: [
    {
      file: 'call.ts',
      marker: 'this.#controller.abort(TIMEOUT)',
      why: 'ends one request after its timeout',
    },
    {
      file: 'circuit-breaker.ts',
      marker: 'failures = failed ? failures + 1 : 0',
      why: 'counts failures in a row',
    },
    { file: 'circuit-breaker.ts', marker: 'throw CIRCUIT_OPEN', why: 'refuses without calling the service' },
  ],
  next: [
    'npm run drill -- cooldown-herd   what happens when the cooldown ends',
    'npm run diff -- 3 4              everything that phase 4 adds',
  ],
};
