import { type Answer, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';

const requests = 10;
const timeoutMs = 500;
const failureThreshold = 3;

export const slowService: Drill = {
  name: 'slow-service',
  phase: 4,
  about: 'A service hangs: phase 3 beside phase 4',
  setUp: [
    `A service takes requests and never answers; the gateways give it ${timeoutMs} ms.`,
    `One client sends ${requests} requests through phase 3, another one through phase 4, each one after another.`,
    `The circuit of phase 4 opens after ${failureThreshold} failures.`,
  ],
  question: `Phase 3 takes ${(requests * timeoutMs) / 1000} s for the ${requests} answers. And phase 4?`,
  choices: {
    a: `As long: each client has to wait for its own timeout`,
    b: `${(failureThreshold * timeoutMs) / 1000} s: the time of ${failureThreshold} timeouts`,
    c: `${timeoutMs / 1000} s: the time of one timeout`,
    d: 'No time: it refuses at once',
  },
  expected: 'b',

  async run(scene: Scene) {
    const send = async (phase: number) => {
      const service = await scene.service(() => {});
      const name = `phase ${phase}`;
      const circuitBreaker = { failureThreshold, cooldownMs: 30_000 };
      const gateway = await scene.gateway({ phase, name, service, timeoutMs, circuitBreaker });
      return async () => {
        const answers: Answer[] = [];
        const begun = performance.now();
        for (let i = 1; i <= requests; i++) {
          const answer = await gateway.get('/api/inventory/1');
          answers.push(answer);
          scene.say(name, `request ${i}: ${answer.status} after ${Math.round(answer.ms)} ms`);
        }
        const ms = Math.round(performance.now() - begun);
        scene.say(name, `all answered after ${ms} ms: ${tally(answers)}; the service got ${service.calls()}`);
        return { ms, calls: service.calls(), answers };
      };
    };
    const ready = await Promise.all([send(3), send(4)]);
    scene.say('clients', 'both begin');
    const [third, fourth] = await Promise.all(ready.map((go) => go()));
    if (!third || !fourth) throw new Error('Both have run.');

    // Not all the time divided by that of a timeout: on a busy machine ten small delays look like a fourth one.
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
    'A timeout protects one request. It does not learn: the next one waits as long, and meanwhile each holds a ' +
    'connection, memory and a waiting person. The circuit counts failures in a row, and a timeout is one. After the third ' +
    'it refuses at once, with 503 and Retry-After, and leaves the service alone, which may be all it needs to recover. ' +
    'The first callers still pay the full price, so timeouts should be short.',
  code: [
    {
      file: 'forward.ts',
      marker: 'this.#controller.abort(TIMEOUT)',
      why: 'one request has waited long enough',
    },
    { file: 'circuit-breaker.ts', marker: 'failures = failed ? failures + 1 : 0', why: 'failures in a row' },
    { file: 'circuit-breaker.ts', marker: 'throw CIRCUIT_OPEN', why: 'refused without a call' },
  ],
  next: [
    'npm run drill -- cooldown-herd   and when the cooldown ends?',
    'npm run diff -- 3 4              all that phase 4 adds',
  ],
};
