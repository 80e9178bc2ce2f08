import { startCarelessGateway } from './runner/careless-gateway.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

export const hiddenRetry: Drill = {
  name: 'hidden-retry',
  phase: 1,
  about: 'A client sends one GET. How many does the service get?',
  setUp: [
    'A service is overloaded. It answers every request with 503 and "Retry-After: 2": try again after two seconds.',
    'Two gateways forward requests to it: phase 1, and a careless gateway that passes each request to reply.from of ' +
      '@fastify/reply-from with the default options.',
    'A client sends a single GET through each of them.',
  ],
  question: 'How many requests does the service get for the one GET through the careless gateway?',
  expected: '11',

  async run(scene: Scene) {
    let who = '';
    let earlier = 0;
    const overloaded = always(503, { 'retry-after': '2' });
    const service = await scene.service((request, response) => {
      scene.say('service', `request ${service.calls() - earlier}, from ${who}: 503, Retry-After 2`);
      overloaded(request, response);
    });
    const careless = await startCarelessGateway(scene, service);
    const phase1 = await scene.gateway({ phase: 1, name: 'phase 1', service });

    who = 'the careless gateway';
    scene.say('client', 'sends one GET through the careless gateway');
    const first = await careless.get('/api/inventory/1');
    scene.say('client', `gets ${first.status} after ${Math.round(first.ms)} ms`);
    const byCareless = service.calls();

    earlier = byCareless;
    who = 'phase 1';
    scene.say('client', 'sends one GET through phase 1');
    const second = await phase1.get('/api/inventory/1');
    scene.say('client', `gets ${second.status} after ${Math.round(second.ms)} ms`);
    const byPhase1 = service.calls() - byCareless;

    return {
      answer: String(byCareless),
      measured: [
        `Requests that the service got through the careless gateway: ${byCareless}, within ${Math.round(first.ms)} ms.`,
        `Requests that it got through phase 1: ${byPhase1}.`,
      ],
    };
  },

  explain:
    '@fastify/reply-from repeats a GET that is answered with 503, by default ten times. The option maxRetriesOn503: 0 does ' +
    'not stop it, because 0 || 10 is 10. The package reads Retry-After as milliseconds, although the header is in seconds ' +
    '(RFC 9110 10.2.3): a service that asks for two seconds gets the next request after two milliseconds. Each layer that ' +
    'retries like this multiplies the load on an overloaded service by eleven. A gateway cannot know whether a retry ' +
    'helps, so phase 1 never retries and leaves that decision to the client.',
  code: [
    {
      package: '@fastify/reply-from',
      file: 'index.js',
      marker: 'opts.maxRetriesOn503 || 10',
      why: 'a default that cannot be set to 0',
    },
    {
      package: '@fastify/reply-from',
      file: 'index.js',
      marker: "retryAfter = res.headers['retry-after']",
      why: 'seconds, used as milliseconds',
    },
    {
      file: 'forward.ts',
      marker: 'dispatcher.dispatch(',
      why: 'the only call to the service, without a loop around it',
    },
  ],
  next: [
    'npm run drill -- client-abort   what the same gateway does when the client disconnects',
    'phases/1-routing/README.md      "Traps it avoids"',
  ],
};
