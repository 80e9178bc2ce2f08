import { type Answer, countOf, tally } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Gateway } from './runner/gateway.ts';
import type { Scene } from './runner/scene.ts';

const limit = 3;
const requests = 12;

export const spoofedAddress: Drill = {
  name: 'spoofed-address',
  phase: 3,
  about: 'A caller writes its own X-Forwarded-For. Whose limit does it use?',
  setUp: [
    `A caller without a key may send ${limit} requests per minute and address.`,
    `It sends ${requests}, each with another made-up address in X-Forwarded-For, to two gateways of phase 3.`,
    'The first has an empty "trustedProxies"; the second trusts 127.0.0.1, which is where the caller sits.',
  ],
  question: `How many of the ${requests} pass at the first gateway, and how many at the second?`,
  choices: {
    a: `${limit} and ${limit}`,
    b: `${limit} and ${requests}`,
    c: `${requests} and ${limit}`,
    d: `${requests} and ${requests}`,
  },
  expected: 'b',

  async run(scene: Scene) {
    let told = '';
    const service = await scene.service((request, response) => {
      told = String(request.headers['x-forwarded-for']);
      response.end();
    });
    const start = (name: string, trustedProxies: string[]) =>
      scene.gateway({ phase: 3, name, service, trustedProxies, limit: { limit, windowMs: 60_000 } });
    const [wary, trusting] = await Promise.all([start('wary', []), start('trusting', ['127.0.0.1'])]);

    const send = async (gateway: Gateway, name: string, addressOf: (number: number) => string) => {
      scene.say('client', `to the ${name} gateway, X-Forwarded-For "${addressOf(1)}", "${addressOf(2)}" …`);
      const answers: Answer[] = [];
      for (let i = 1; i <= requests; i++) {
        answers.push(await gateway.get('/api/inventory/1', { headers: { 'x-forwarded-for': addressOf(i) } }));
      }
      scene.say('client', tally(answers));
      scene.say('service', `last got X-Forwarded-For "${told}"`);
      return countOf(200, answers);
    };
    const madeUp = (number: number) => `198.51.100.${number}`;
    const atWary = await send(wary, 'wary', madeUp);
    const atTrusting = await send(trusting, 'trusting', madeUp);
    scene.say('client', 'now as through a real proxy, which adds the address it sees at the right:');
    const throughProxy = await send(trusting, 'trusting', (number) => `${madeUp(number)}, 203.0.113.9`);

    const answers = { '3 3': 'a', '3 12': 'b', '12 3': 'c', '12 12': 'd' };
    return {
      answer: answers[`${atWary} ${atTrusting}` as keyof typeof answers],
      measured: [
        `At the wary gateway ${atWary} of ${requests} passed, at the trusting one ${atTrusting}.`,
        `With the address that a proxy added at the right, ${throughProxy} passed at the trusting one.`,
      ],
    };
  },

  explain:
    'X-Forwarded-For is text that anybody can send. The peer of the connection cannot be made up, so it is the address ' +
    'that counts, unless it is a proxy the operator has named: then the field is read from the right, where the proxy ' +
    'wrote, up to the first address that is not trusted. The second gateway was told to believe 127.0.0.1, and whoever ' +
    'calls from there may be anyone. Trust the addresses of your proxies, and let nobody else call from them.',
  code: [
    { file: 'rate-limit.ts', marker: 'const address = isIP(request.ip)', why: 'the address that is counted' },
    {
      file: 'headers.ts',
      marker: "name.startsWith('x-forwarded-')",
      why: 'what the client says of itself does not reach the service',
    },
    {
      file: 'headers.ts',
      marker: "kept.push('x-forwarded-for'",
      why: 'the gateway writes the chain itself',
    },
  ],
  next: [
    'npm run drill -- window-edge       once the right caller is counted',
    'docs/config.md                     "trustedProxies"',
  ],
};
