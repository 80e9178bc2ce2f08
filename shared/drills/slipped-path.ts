import { startCarelessGateway } from './runner/careless-gateway.ts';
import type { Client } from './runner/client.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';

const open = '/api/inventory';
const closed = `${open}/internal`;
const spellings = [closed, `${open}/%69nternal`, `${open}/./internal`, `${open}\\internal`];

export const slippedPath: Drill = {
  name: 'slipped-path',
  phase: 2,
  about: 'One path in four spellings. Which of them get past a protected route?',
  setUp: [
    `The route ${open} is public, and ${closed} needs a key; the service behind both decodes a path before it uses it.`,
    `A careless gateway refuses a request without a key if its path starts with ${closed}, and forwards all others.`,
    `A client without a key sends ${spellings.join(', ')} to it and to phase 2.`,
  ],
  question: `How many of the ${spellings.length} requests get the internal page, through the careless gateway and through phase 2?`,
  choices: {
    a: '0 and 0: each of them is the same path, so each of them is refused',
    b: '1 and 0: the percent-escape gets past a comparison of text',
    c: '3 and 0: each spelling but the plain one gets past it',
    d: '3 and 3: a gateway cannot know how a service reads a path',
  },
  expected: 'c',

  async run(scene: Scene) {
    let mergesSlashes = false;
    const service = await scene.service((request, response) => {
      const decoded = decodeURIComponent(new URL(`http://service${request.url}`).pathname);
      const path = mergesSlashes ? decoded.replaceAll(/\/+/g, '/') : decoded;
      // Phase 2 removes the prefix of the public route, the careless gateway does not.
      const isInternal = path === closed || path === '/internal';
      scene.say('service', `gets ${request.url}${isInternal ? ', sends the internal page' : ''}`);
      response.end(isInternal ? 'internal' : '');
    });
    const careless = await startCarelessGateway(
      scene,
      service,
      ({ url = '', headers }) => !url.startsWith(closed) || headers['x-api-key'] !== undefined,
    );
    const phase2 = await scene.gateway({ phase: 2, name: 'phase 2', service, protectedPrefixes: [closed] });
    const isRead = async (gateway: Client, path: string) => {
      scene.say('client', `sends ${path}`);
      const { status, body } = await gateway.get(path);
      scene.say('client', `gets ${status}`);
      return body === 'internal';
    };
    const countRead = async (gateway: Client, name: string) => {
      scene.say('client', `calls ${name} without a key`);
      let read = 0;
      for (const path of spellings) if (await isRead(gateway, path)) read += 1;
      return read;
    };
    const byCareless = await countRead(careless, 'the careless gateway');
    const byPhase2 = await countRead(phase2, 'phase 2');
    mergesSlashes = true;
    scene.say('service', 'now also reads // as /');
    const slashes = await isRead(phase2, `${open}//internal`);

    const counts: string = `${byCareless} ${byPhase2}`;
    return {
      answer: { '0 0': 'a', '1 0': 'b', '3 0': 'c', '3 3': 'd' }[counts],
      measured: [
        `Of ${spellings.length} requests without a key, ${byCareless} got the internal page through the careless gateway, and ${byPhase2} through phase 2.`,
        `When the service reads // as /, ${open}//internal ${slashes ? 'gets' : 'does not get'} it through phase 2.`,
      ],
    };
  },

  explain:
    'A rule about a path holds only if gateway and service read the path in the same way. The careless gateway compares ' +
    'the text that was sent. @fastify/reply-from then parses it as a URL, which removes dots and turns a backslash into a ' +
    'slash, and the service decodes %69 to i. Phase 2 decodes each segment before it compares it, so %69nternal is ' +
    'internal. It refuses with 400 what two servers could read in two ways: dot segments and backslashes. And it forwards ' +
    'everything behind the prefix byte for byte. That has a limit: // is a different path than / by RFC 3986, but some ' +
    'servers merge them. In front of such a service, protect the whole prefix, and name the paths that are public.',
  code: [
    {
      file: 'route.ts',
      marker: "name.includes('%') ? decodeURIComponent(name) : name",
      why: 'each segment is decoded before it is compared',
    },
    {
      file: 'well-formed.ts',
      marker: 'NOT_IN_A_TARGET.test(url) || DOT_SEGMENT.test(url)',
      why: 'refuses dot segments and backslashes',
    },
    {
      file: 'route.ts',
      marker: 'url.slice(prefixEnd)',
      why: 'forwards the rest as it was sent, // included',
    },
  ],
  next: [
    'npm run drill -- window-edge               the next phase: how often may a client call?',
    'phases/2-client-identity/well-formed.ts    what two servers could read in two ways',
  ],
};
