import { countOf, type DrillResponse, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';

const clients = 30;
const failureThreshold = 3;
const cooldownMs = 2_000;
const slowMs = 400;

export const cooldownHerd: Drill = {
  name: 'cooldown-herd',
  phase: 4,
  about: 'The cooldown ends while many clients wait. How many calls reach the service?',
  setUp: [
    `A service fails ${failureThreshold} times in a row, its circuit opens for ${cooldownMs / 1000} seconds, and ` +
      `${clients} clients are refused with Retry-After.`,
    'Each client waits for the time in Retry-After and then calls again, so all of them call at the same moment.',
    `The service still fails: it answers 500, now after ${slowMs} ms.`,
  ],
  question: `How many of the ${clients} calls reach the service?`,
  expected: String(clients),

  async run(scene: Scene) {
    let delayMs = 0;
    let before = 0;
    const reached = () => service.calls() - before;
    const service = await scene.service((_request, response) => {
      if (delayMs > 0 && (reached() === 1 || reached() === clients)) {
        scene.say('service', `gets call ${reached()} of the ${clients}`);
      }
      setTimeout(() => response.writeHead(500).end(), delayMs);
    });
    const circuitBreaker = { failureThreshold, cooldownMs };
    const gateway = await scene.gateway({ phase: 4, name: 'phase 4', service, circuitBreaker });
    const path = '/api/inventory/1';

    const failed: DrillResponse[] = [];
    for (let i = 0; i < failureThreshold; i++) failed.push(await gateway.get(path));
    scene.say('client', `${failureThreshold} requests: ${tally(failed)}`);
    await gateway.logged('circuit opened');
    const refused = await gateway.burst(clients, path);
    const seconds = Number(refused[0]?.headers.get('retry-after'));
    scene.say('clients', `${tally(refused)}, Retry-After ${seconds}`);
    before = service.calls();

    delayMs = slowMs;
    await scene.pass(seconds * 1000);
    scene.say('clients', `all ${clients} call again`);
    const herd = await gateway.burst(clients, path);
    const calls = reached();
    scene.say('clients', tally(herd));
    await gateway.logged('circuit opened', 2);
    const next = await gateway.get(path);
    scene.say('client', `the next request: ${next.status}`);

    return {
      answer: String(calls),
      measured: [
        `${calls} of ${clients} calls reached the service; ${countOf(500, herd)} of them got its 500.`,
        `Their failures opened the circuit again, and the next request got ${next.status}.`,
      ],
    };
  },

  explain:
    `When the cooldown is over, the circuit is closed for all clients at once: this circuit breaker has no half-open state ` +
    `in which it would let only one probe through. All ${clients} calls are in flight before the first one has failed. ` +
    `Their ${clients} failures open the circuit once, and not ${clients / failureThreshold} times, because a call that ` +
    'began before the circuit opened is not counted afterwards. Retry-After makes the burst larger: clients that follow it ' +
    'return at the same moment. A client should therefore add a random time to its wait (jitter). A larger gateway would ' +
    'let a few probes through first.',
  code: [
    {
      file: 'circuit-breaker.ts',
      marker: 'openedAt = null;',
      why: 'the cooldown ends for all clients at once',
    },
    {
      file: 'circuit-breaker.ts',
      marker: 'if (callGeneration !== generation) return',
      why: 'why it opens once, not ten times',
    },
    {
      file: 'circuit-breaker.ts',
      marker: "reply.header('retry-after'",
      why: 'why all clients return at the same moment',
    },
  ],
  next: [
    'npm run drill -- layered-defences     two stages that refuse',
    'phases/4-circuit-breaking/README.md   "What a larger gateway would add"',
  ],
};
