import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

const limit = 6;
const failureThreshold = 3;
const cooldownMs = 1_000;
const app = { 'x-api-key': 'demo-mobile-app-key' };
const web = { 'x-api-key': 'demo-partner-web-key' };

export const layeredDefences: Drill = {
  name: 'layered-defences',
  phase: 4,
  about: 'The limit stands before the circuit: what a client sees of each',
  setUp: [
    `Each client may send ${limit} requests per minute, and a circuit opens after ${failureThreshold} failures for ` +
      `${cooldownMs / 1000} s.`,
    'A service breaks, and the client mobile-app sends 8 requests, as fast as it gets its answers.',
    'Then the service is mended, the cooldown passes, and the client partner-web, which has been quiet, gets a 200.',
  ],
  question: 'Now mobile-app asks once more. What does it get?',
  choices: {
    a: '200: the service is well, and the circuit is closed',
    b: '500: its failures are remembered',
    c: '503: for this client the circuit is still open',
    d: '429: it has used up its limit on a service that was broken',
  },
  expected: 'd',

  async run(scene: Scene) {
    let broken = true;
    const service = await scene.service((request, response) => always(broken ? 500 : 200)(request, response));
    const gateway = await scene.gateway({
      phase: 4,
      name: 'phase 4',
      service,
      limit: { limit, windowMs: 60_000 },
      circuitBreaker: { failureThreshold, cooldownMs },
    });
    const get = (headers: Record<string, string>) => gateway.get('/api/inventory/1', { headers });

    scene.say('service', 'breaks');
    const statuses: Array<number | 'none'> = [];
    for (let i = 1; i <= 8; i++) {
      const { status, headers } = await get(app);
      statuses.push(status);
      const wait = headers.has('retry-after') ? `, Retry-After ${headers.get('retry-after')}` : '';
      scene.say('mobile-app', `request ${i}: ${status}${wait}`);
    }
    broken = false;
    scene.say('service', 'is mended');
    let other = await get(web);
    while (other.status === 503) {
      scene.say('partner-web', `503, Retry-After ${other.headers.get('retry-after')}`);
      await scene.pass(Number(other.headers.get('retry-after')) * 1000);
      other = await get(web);
    }
    scene.say('partner-web', String(other.status));
    const last = await get(app);
    scene.say('mobile-app', `${last.status}, Retry-After ${last.headers.get('retry-after')}`);

    return {
      answer: { 200: 'a', 500: 'b', 503: 'c', 429: 'd' }[Number(last.status)],
      measured: [
        `mobile-app got ${statuses.join(' ')} while the service was broken, and ${last.status} afterwards.`,
        `partner-web got ${other.status} from the same service at the same time.`,
      ],
    };
  },

  explain:
    'The stages stand in a row, and the first that refuses answers. The limit is charged before the circuit is asked, so ' +
    'the 503s have cost quota like everything else, and then the 429 hides the circuit: its opening, and its closing. ' +
    'Whoever looks at this client alone sees a client that sends too much, not a service that was broken; the log has ' +
    '"circuit opened" and, in each line, the stage that refused. The order is a choice: the other way round, a broken ' +
    'service would suspend the limit, and a client could knock on it ' +
    'for free.',
  code: [
    { file: 'rate-limit.ts', marker: 'throw RATE_LIMITED', why: 'the earlier stage: its answer wins' },
    {
      file: 'circuit-breaker.ts',
      marker: 'throw CIRCUIT_OPEN',
      why: 'the later one: asked when the request is counted',
    },
  ],
  next: [
    'phases/4-circuit-breaking/gateway.ts   the order of the statements is the order of the stages',
    'docs/errors.md                         which stage gives which answer',
  ],
};
