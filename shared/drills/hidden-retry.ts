import { startCarelessGateway } from './runner/careless-gateway.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';
import { always } from './runner/service.ts';

export const hiddenRetry: Drill = {
  name: 'hidden-retry',
  phase: 1,
  about: 'One GET goes in. How many come out?',
  setUp: [
    'A service is overloaded and answers 503 to everything, with "Retry-After: 2": leave me alone for two seconds.',
    'Two gateways stand before it: a careless one that hands each request to reply.from of @fastify/reply-from, all ' +
      'options as they come, and phase 1.',
    'Through each of them a client sends a single GET.',
  ],
  question: 'How many requests does the service get from the one GET through the careless gateway?',
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
    scene.say('client', 'one GET through the careless gateway');
    const first = await careless.get('/api/inventory/1');
    scene.say('client', `${first.status} after ${Math.round(first.ms)} ms`);
    const byCareless = service.calls();

    earlier = byCareless;
    who = 'phase 1';
    scene.say('client', 'one GET through phase 1');
    const second = await phase1.get('/api/inventory/1');
    scene.say('client', `${second.status} after ${Math.round(second.ms)} ms`);
    const byPhase1 = service.calls() - byCareless;

    return {
      answer: String(byCareless),
      measured: [
        `Through the careless gateway the service got ${byCareless}, within ${Math.round(first.ms)} ms.`,
        `Through phase 1 it got ${byPhase1}.`,
      ],
    };
  },

  explain:
    'The package repeats a GET that is answered with 503, ten times by default, and maxRetriesOn503: 0 does not stop ' +
    'it, because 0 || 10 is 10. It takes Retry-After for milliseconds, so a service that asks for two seconds of peace ' +
    'gets the next request after two milliseconds. An overloaded service is hit eleven times as hard, by every layer ' +
    'that does this. A gateway cannot know whether a repetition helps, so ours never retries: the client decides.',
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
    { file: 'forward.ts', marker: 'dispatcher.dispatch(', why: 'the one call, with no loop around it' },
  ],
  next: [
    'npm run drill -- client-abort   the other thing such a gateway does unasked',
    'phases/1-routing/README.md      "Traps it avoids"',
  ],
};
