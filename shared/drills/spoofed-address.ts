import { countOf, type DrillResponse, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { DrillGateway } from './runner/gateway.ts';
import type { Scene } from './runner/scene.ts';

const limit = 3;
const requests = 12;

export const spoofedAddress: Drill = {
  name: 'spoofed-address',
  phase: 3,
  about: 'A client sends its own X-Forwarded-For. Which address does the limit use?',
  setUp: [
    `Clients without a key may send ${limit} requests per minute from each address.`,
    `A client sends ${requests} requests to each of two gateways of phase 3, with a different invented address in the ` +
      'X-Forwarded-For of each request.',
    'The first gateway has an empty "trustedProxies"; the second trusts 127.0.0.1, which is the address of the client.',
  ],
  question: `How many of the ${requests} requests pass at the first gateway, and how many at the second?`,
  choices: {
    a: `${limit} and ${limit}`,
    b: `${limit} and ${requests}`,
    c: `${requests} and ${limit}`,
    d: `${requests} and ${requests}`,
  },
  expected: 'b',

  async run(scene: Scene) {
    let received = '';
    const service = await scene.service((request, response) => {
      received = String(request.headers['x-forwarded-for']);
      response.end();
    });
    const start = (name: string, trustedProxies: string[]) =>
      scene.gateway({ phase: 3, name, service, trustedProxies, limit: { limit, windowMs: 60_000 } });
    const [strict, trusting] = await Promise.all([start('strict', []), start('trusting', ['127.0.0.1'])]);

    const send = async (gateway: DrillGateway, name: string, addressOf: (number: number) => string) => {
      scene.say(
        'client',
        `calls the ${name} gateway with X-Forwarded-For "${addressOf(1)}", "${addressOf(2)}" …`,
      );
      const answers: DrillResponse[] = [];
      for (let i = 1; i <= requests; i++) {
        answers.push(await gateway.get('/api/inventory/1', { headers: { 'x-forwarded-for': addressOf(i) } }));
      }
      scene.say('client', tally(answers));
      scene.say('service', `the last X-Forwarded-For was "${received}"`);
      return countOf(200, answers);
    };
    const madeUp = (number: number) => `198.51.100.${number}`;
    const atStrict = await send(strict, 'strict', madeUp);
    const atTrusting = await send(trusting, 'trusting', madeUp);
    scene.say('client', 'now as through a real proxy, which appends the address that it sees:');
    const throughProxy = await send(trusting, 'trusting', (number) => `${madeUp(number)}, 203.0.113.9`);

    const answers = { '3 3': 'a', '3 12': 'b', '12 3': 'c', '12 12': 'd' };
    return {
      answer: answers[`${atStrict} ${atTrusting}` as keyof typeof answers],
      measured: [
        `${atStrict} of ${requests} requests passed at the strict gateway, and ${atTrusting} at the trusting one.`,
        `With an address that a proxy had appended, ${throughProxy} passed at the trusting one.`,
      ],
    };
  },

  explain:
    'Any client can send any text in X-Forwarded-For. It cannot forge the peer address of its TCP connection, so the ' +
    'limit normally uses that address. If the peer is in "trustedProxies", the gateway reads X-Forwarded-For from the ' +
    'right, where a proxy appends, up to the first address that is not trusted. The second gateway trusts 127.0.0.1, so ' +
    'every client that connects from there can invent its address. Trust only the addresses of your proxies, and make ' +
    'sure that no client can connect from them.',
  code: [
    {
      file: 'trusted-proxies.ts',
      marker: 'const address = withoutPort(member)',
      why: 'the field is read from the right',
    },
    {
      file: 'headers.ts',
      marker: "name.startsWith('x-forwarded-')",
      why: 'X-Forwarded-* of the client does not reach the service',
    },
    {
      file: 'address.ts',
      marker: "forwarded: ['x-forwarded-for'",
      why: 'the gateway writes the chain itself',
    },
  ],
  next: [
    'npm run drill -- window-edge       what the limit lets pass for the right address',
    'docs/config.md                     "trustedProxies"',
  ],
};
