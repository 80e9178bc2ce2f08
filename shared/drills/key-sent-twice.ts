import { startCarelessGateway } from './runner/careless-gateway.ts';
import type { DrillResponse } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';

const owners = new Map([
  ['demo-mobile-app-key', 'mobile-app'],
  ['demo-partner-web-key', 'partner-web'],
]);
const [appKey, webKey] = [...owners.keys()] as [string, string];

export const keySentTwice: Drill = {
  name: 'key-sent-twice',
  phase: 2,
  about: 'A request carries two API keys. Which client is it?',
  setUp: [
    'The client mobile-app sends its own key, and behind it a second X-API-Key field with the key of partner-web.',
    'A careless gateway looks at the first X-API-Key, accepts the request as one of mobile-app, and forwards both fields.',
    'The service looks at the last X-API-Key, and books the order for that client; phase 2 gets the same two fields.',
  ],
  question: 'For whom does the service book the order, through the careless gateway and through phase 2?',
  choices: {
    a: 'mobile-app, and mobile-app: the first field counts',
    b: 'partner-web, and partner-web: the last field counts',
    c: 'partner-web, and for no client: phase 2 refuses the request',
    d: 'For no client, twice: HTTP forbids the second field, so Node refuses the request',
  },
  expected: 'c',

  async run(scene: Scene) {
    let booked: string | undefined;
    let received: string | undefined;
    const service = await scene.service((request, response) => {
      received = request.headers['x-api-key'] as string | undefined;
      booked = owners.get(received?.split(', ').at(-1) ?? '');
      scene.say('service', `gets the key "${received ?? ''}", books for ${booked ?? 'no client'}`);
      response.end();
    });
    const careless = await startCarelessGateway(scene, service, (request) => {
      const [first = ''] = request.headersDistinct['x-api-key'] ?? [];
      scene.say('careless', `accepts it as ${owners.get(first)}`);
      return owners.has(first);
    });
    const phase2 = await scene.gateway({ phase: 2, name: 'phase 2', service });
    const order = async (gateway: typeof careless, name: string, what: string, keys: string[]) => {
      booked = undefined;
      scene.say('mobile-app', `orders through ${name} with ${what}`);
      const answer: DrillResponse = await gateway.get('/api/inventory/1', { headers: { 'x-api-key': keys } });
      scene.say('mobile-app', `gets ${answer.status}`);
      return { status: answer.status, client: booked };
    };

    const byCareless = await order(careless, 'the careless gateway', 'two keys', [appKey, webKey]);
    const byPhase2 = await order(phase2, 'phase 2', 'two keys', [appKey, webKey]);
    const sameTwice = await order(phase2, 'phase 2', 'the same key twice', [appKey, appKey]);
    const once = await order(phase2, 'phase 2', 'one key', [appKey]);

    const clients = `${byCareless.client ?? 'none'} ${byPhase2.client ?? 'none'}`;
    return {
      answer: {
        'mobile-app mobile-app': 'a',
        'partner-web partner-web': 'b',
        'partner-web none': 'c',
        'none none': 'd',
      }[clients],
      measured: [
        `Through the careless gateway the order got ${byCareless.status} and was booked for ${byCareless.client ?? 'no client'}.`,
        `Through phase 2 it got ${byPhase2.status}. The same key twice got ${sameTwice.status}, and one key ${once.status}.`,
        `With one key, the service got ${received === undefined ? 'no X-API-Key' : 'an X-API-Key'} from phase 2.`,
      ],
    };
  },

  explain:
    'HTTP lets a field occur several times only if its value is a list (RFC 9110 5.3). Servers do not agree on what to do ' +
    'with the others: some take the first value, some the last, and Node joins them with a comma. When the gateway checks ' +
    'one value and the service uses another, a client with a valid key acts as a different client. So a request with two ' +
    'keys has no identity. Phase 2 refuses it, even if both keys are the same, and does not guess. It also does not ' +
    'forward X-API-Key: a service that never gets a key cannot read it differently.',
  code: [
    {
      file: 'identify.ts',
      marker: "if (key.includes(',')) return undefined",
      why: 'a comma means that Node has joined several fields',
    },
    {
      file: 'identify.ts',
      marker: 'if (!client) throw challenge(reply, UNKNOWN_KEY)',
      why: 'an unclear key is refused like an unknown one, also on a public route',
    },
    { file: 'headers.ts', marker: "'x-api-key',", why: 'the key does not reach the service' },
  ],
  next: [
    'npm run drill -- slipped-path              another value that gateway and service read differently',
    'phases/2-client-identity/identify.ts       how a key becomes a client',
  ],
};
