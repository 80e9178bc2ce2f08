import { startCarelessGateway } from './runner/careless-gateway.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';

const steps = 8;
const stepMs = 200;
const leaveAfter = 2;

export const clientAbort: Drill = {
  name: 'client-abort',
  phase: 1,
  about: 'The client leaves while the service works. Who stops?',
  setUp: [
    `A service makes a report in ${steps} steps of ${stepMs} ms, sends nothing before the last one, and gives up when ` +
      'its connection is closed.',
    `A client asks for the report through phase 1 and leaves after step ${leaveAfter}.`,
    'Then it does the same at a careless gateway, which hands each request to reply.from of @fastify/reply-from.',
  ],
  question: `How many of the ${steps} steps does the service make, behind phase 1 and behind the careless gateway?`,
  choices: {
    a: `${steps} and ${steps}: a service cannot know that the client has left`,
    b: `${leaveAfter} and ${leaveAfter}: a closed connection is passed on by itself`,
    c: `${leaveAfter} and ${steps}: a gateway must do something for it`,
    d: `${steps} and ${leaveAfter}: phase 1 finishes what it has begun`,
  },
  expected: 'c',

  async run(scene: Scene) {
    let made = 0;
    let ended = () => {};
    const service = await scene.service((_request, response) => {
      const timer = setInterval(() => {
        made += 1;
        scene.say('service', `has made step ${made} of ${steps}`);
        if (made === leaveAfter) leave.abort();
        if (made === steps) response.end('the report');
      }, stepMs);
      response.once('close', () => {
        clearInterval(timer);
        scene.say('service', made === steps ? 'has sent the report' : 'its connection is closed: it stops');
        ended();
      });
    });
    let leave = new AbortController();
    const leaveEarly = async (client: Awaited<ReturnType<typeof startCarelessGateway>>, name: string) => {
      made = 0;
      leave = new AbortController();
      const over = new Promise<void>((resolve) => {
        ended = resolve;
      });
      scene.say('client', `asks ${name} for the report`);
      await client.get('/api/inventory/report', { signal: leave.signal });
      scene.say('client', 'has left');
      await over;
      return made;
    };
    const careless = await startCarelessGateway(scene, service);
    const phase1 = await scene.gateway({ phase: 1, name: 'phase 1', service });

    const behindPhase1 = await leaveEarly(phase1, 'phase 1');
    const { status } = await phase1.logged('request');
    scene.say('phase 1', `logs the request with status ${status}`);
    const behindCareless = await leaveEarly(careless, 'the careless gateway');

    const stopped = (count: number) => count < steps;
    const pattern = `${stopped(behindPhase1)} ${stopped(behindCareless)}`;
    return {
      answer: { 'false false': 'a', 'true true': 'b', 'true false': 'c', 'false true': 'd' }[pattern],
      measured: [
        `Behind phase 1 the service made ${behindPhase1} of ${steps} steps, behind the careless gateway ${behindCareless}.`,
      ],
    };
  },

  explain:
    'To the service the gateway is the client, and the gateway is still there. Unless it closes its own connection, the ' +
    'service works on for nobody: a user who reloads a slow page three times costs four reports. Phase 1 watches the ' +
    "client's connection and cancels the call the moment it closes. The log says 499, nginx's number for a client that " +
    'left: it is never sent, for there is nobody to send it to.',
  code: [
    {
      file: 'forward.ts',
      marker: "reply.raw.once('close', () => this.#close())",
      why: "the client's connection is watched",
    },
    {
      file: 'forward.ts',
      marker: 'this.#controller?.abort(CLIENT_LEFT)',
      why: 'and the call to the service is cancelled',
    },
  ],
  next: [
    'npm run drill -- slow-service   what happens when the client stays',
    'phases/1-routing/forward.ts     the class Call, from its start to its end',
  ],
};
