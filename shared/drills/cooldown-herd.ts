import { type Answer, countOf, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';

const clients = 30;
const failureThreshold = 3;
const cooldownMs = 2_000;
const slowMs = 400;

export const cooldownHerd: Drill = {
  name: 'cooldown-herd',
  phase: 4,
  about: 'The cooldown ends, and everybody is waiting. Who goes first?',
  setUp: [
    `A service fails ${failureThreshold} times in a row, its circuit opens for ${cooldownMs / 1000} seconds, and ` +
      `${clients} clients are refused with Retry-After.`,
    'They do as they are told: each waits as long as Retry-After says, then calls again, so all call at the same moment.',
    `The service is still ill: it answers 500, now after ${slowMs} ms.`,
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

    const failed: Answer[] = [];
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
        `They opened the circuit once more, and the next request got ${next.status}.`,
      ],
    };
  },

  explain:
    'When the cooldown is over the circuit is closed, in full and for everybody: this breaker has no half-open state ' +
    'that would send one call ahead. All are under way before the first has failed. Their failures open the circuit ' +
    'once, not ten times: what began before it opened is not counted afterwards. And Retry-After makes it worse, since ' +
    'obedient clients come back together; a client should add some chance to its wait. A larger gateway would let a ' +
    'few probes through first.',
  code: [
    { file: 'circuit-breaker.ts', marker: 'openedAt = null;', why: 'over for everybody at once' },
    {
      file: 'circuit-breaker.ts',
      marker: 'if (begunIn !== generation) return',
      why: 'why it opens once, not ten times',
    },
    {
      file: 'circuit-breaker.ts',
      marker: "reply.header('retry-after'",
      why: 'what makes the herd come at once',
    },
  ],
  next: [
    'npm run drill -- layered-defences     two stages that refuse',
    'phases/4-circuit-breaking/README.md   "What a larger gateway would add"',
  ],
};
