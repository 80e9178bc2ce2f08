import { startCarelessGateway } from './runner/careless-gateway.ts';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';

const steps = 8;
const stepMs = 200;
const leaveAfter = 2;

export const clientAbort: Drill = {
  name: 'client-abort',
  phase: 1,
  about: 'The client disconnects while the service works. Does the service stop?',
  setUp: [
    `A service creates a report in ${steps} steps of ${stepMs} ms, sends it after the last step, and stops when its ` +
      'connection is closed.',
    `A client requests the report through phase 1 and closes its connection after step ${leaveAfter}.`,
    'Then it does the same through a careless gateway, which passes each request to reply.from of @fastify/reply-from.',
  ],
  question: `How many of the ${steps} steps does the service do behind phase 1, and how many behind the careless gateway?`,
  choices: {
    a: `${steps} and ${steps}: the service cannot know that the client has disconnected`,
    b: `${leaveAfter} and ${leaveAfter}: every gateway closes its connection to the service when the client closes its own`,
    c: `${leaveAfter} and ${steps}: a gateway has to cancel its call to the service, and only phase 1 does`,
    d: `${steps} and ${leaveAfter}: phase 1 completes every call that it has begun`,
  },
  expected: 'c',

  async run(scene: Scene) {
    let made = 0;
    let ended = () => {};
    const service = await scene.service((_request, response) => {
      const timer = setInterval(() => {
        made += 1;
        scene.say('service', `has done step ${made} of ${steps}`);
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
      scene.say('client', `requests the report through ${name}`);
      await client.get('/api/inventory/report', { signal: leave.signal });
      scene.say('client', 'has disconnected');
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
        `The service did ${behindPhase1} of ${steps} steps behind phase 1, and ${behindCareless} behind the careless gateway.`,
      ],
    };
  },

  explain:
    'For the service, the gateway is the client, and the gateway is still connected. If the gateway does not close its ' +
    'connection to the service, the service finishes work that no client will receive: a user who reloads a slow page ' +
    "three times causes four reports. Phase 1 listens for the 'close' event of the client's connection and then cancels " +
    'its call to the service. The log shows the status 499, which nginx uses when the client has disconnected. A 499 is ' +
    'never sent, because the connection is already closed.',
  code: [
    {
      file: 'call.ts',
      marker: '() => this.#onClose()',
      why: "runs when the client's connection closes",
    },
    {
      file: 'call.ts',
      marker: 'this.#controller?.abort(CLIENT_ABORT)',
      why: 'cancels the call to the service',
    },
  ],
  next: [
    'npm run drill -- slow-service   a service that does not answer a connected client',
    'phases/1-routing/call.ts        the class Call, from its start to its end',
  ],
};
