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
  about: 'The limit is checked before the circuit. What does a client see?',
  setUp: [
    `Each client may send ${limit} requests per minute, and a circuit opens after ${failureThreshold} failures for ` +
      `${cooldownMs / 1000} s.`,
    'A service fails, and the client mobile-app sends 8 requests, each one when it has the response to the one before.',
    'Then the service is repaired, the cooldown ends, and the client partner-web, which has sent nothing before, gets 200.',
  ],
  question: 'Now mobile-app sends one more request. What does it get?',
  choices: {
    a: '200: the service works again, and the circuit is closed',
    b: '500: the gateway remembers the failures of this client',
    c: '503: for this client the circuit is still open',
    d: '429: it used up its limit while the service failed',
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

    scene.say('service', 'fails from now on');
    const statuses: Array<number | 'none'> = [];
    for (let i = 1; i <= 8; i++) {
      const { status, headers } = await get(app);
      statuses.push(status);
      const wait = headers.has('retry-after') ? `, Retry-After ${headers.get('retry-after')}` : '';
      scene.say('mobile-app', `request ${i}: ${status}${wait}`);
    }
    broken = false;
    scene.say('service', 'is repaired');
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
        `mobile-app got ${statuses.join(' ')} while the service failed, and ${last.status} afterwards.`,
        `partner-web got ${other.status} from the same service at the same time.`,
      ],
    };
  },

  explain:
    'The stages run in a fixed order, and the first stage that refuses a request answers it. The limit counts a request ' +
    'before the circuit is checked, so requests that got 503 used up the limit as well. From then on the client gets 429 ' +
    'and cannot see whether the circuit is open or closed. Its responses look as if it sends too much, and not as if a ' +
    'service had failed. The log shows the cause: it has "circuit opened" and, for each refused request, the stage that ' +
    'refused it. The order is a design decision: if the circuit came first, requests to a failing service would not be ' +
    'counted, and a client could send any number of them.',
  code: [
    { file: 'rate-limit.ts', marker: 'throw RATE_LIMITED', why: 'the earlier stage: it answers first' },
    {
      file: 'circuit-breaker.ts',
      marker: 'throw CIRCUIT_OPEN',
      why: 'the later stage: checked after the request is counted',
    },
  ],
  next: [
    'phases/4-circuit-breaking/gateway.ts   the order of the statements is the order of the stages',
    'docs/errors.md                         which stage gives which answer',
  ],
};
