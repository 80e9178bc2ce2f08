import http from 'node:http';
import type { Drill } from './runner/definition.ts';
import type { Scene } from './runner/scene.ts';

const clients = 20;

/** What a service writes to its log about one request. */
interface LogLine {
  path: string | undefined;
  id: string | string[] | undefined;
}

export const missingId: Drill = {
  name: 'missing-id',
  phase: 5,
  about: 'One of many equal requests went wrong. In which logs do you find it?',
  setUp: [
    `At the same time ${clients} clients send the same request. One of them reports a wrong price: status, path and time ` +
      'are those of the others.',
    'The gateway calls the service inventory, which calls the service prices; each of the three writes a log.',
    'The service inventory writes the X-Request-Id that it gets to its log, but does not send it to prices.',
  ],
  question:
    'The client of phase 5 reports the X-Request-Id of its answer. In how many of the three logs is it?',
  choices: {
    a: 'In 1: an id is valid between a client and the gateway',
    b: 'In 2: the gateway and inventory',
    c: 'In 3: the gateway adds it to every request',
  },
  expected: 'b',

  async run(scene: Scene) {
    const inventoryLog: LogLine[] = [];
    const pricesLog: LogLine[] = [];
    let passesOn = false;
    const prices = await scene.service(({ url, headers }, response) => {
      pricesLog.push({ path: url, id: headers['x-request-id'] });
      response.end();
    });
    const inventory = await scene.service(({ url, headers }, response) => {
      const id = headers['x-request-id'];
      inventoryLog.push({ path: url, id });
      const fields = passesOn && id !== undefined ? { 'x-request-id': id } : {};
      http.get(`${prices.url}/price`, { headers: fields }, (answer) => answer.resume().pipe(response));
    });
    const [phase4, phase5] = await Promise.all([
      scene.gateway({ phase: 4, name: 'phase 4', service: inventory }),
      scene.gateway({ phase: 5, name: 'phase 5', service: inventory }),
    ]);

    const search = async (gateway: typeof phase4, name: string, earlier: number) => {
      const answers = await gateway.burst(clients, '/api/inventory/1');
      const id = answers[clients / 2]?.headers.get('x-request-id') ?? undefined;
      scene.say('client', id === undefined ? `has no id from ${name}` : `reports ${id}, from ${name}`);
      await gateway.logged('request', earlier + clients);
      const gatewayLog: LogLine[] = [];
      for (let line = earlier + 1; line <= earlier + clients; line++) {
        const { path, id } = await gateway.logged('request', line);
        gatewayLog.push({ path: path as string, id: id as string | undefined });
      }
      const logs = { [name]: gatewayLog, inventory: inventoryLog.splice(0), prices: pricesLog.splice(0) };
      let foundIn = 0;
      for (const [log, lines] of Object.entries(logs)) {
        const fitting = id === undefined ? [] : lines.filter((line) => line.id === id);
        if (fitting.length === 1) foundIn += 1;
        scene.say(
          log,
          fitting.length === 1 ? 'has 1 line with this id' : `has ${lines.length} lines that fit`,
        );
      }
      return foundIn;
    };
    const without = await search(phase4, 'phase 4', 0);
    const withId = await search(phase5, 'phase 5', 0);
    passesOn = true;
    scene.say('inventory', 'now sends the id to prices too');
    const passedOn = await search(phase5, 'phase 5', clients);

    return {
      answer: { 1: 'a', 2: 'b', 3: 'c' }[withId],
      measured: [
        `Behind phase 4 the request was found in ${without} of 3 logs: each has ${clients} lines that fit.`,
        `Behind phase 5 it was found in ${withId} of 3, and in ${passedOn} of 3 when inventory sent the id on.`,
      ],
    };
  },

  explain:
    'Time, path and status do not identify a request, because others have the same. Clocks of several machines differ by ' +
    'more than the time between two requests. An id does, if each line about the request has it. Phase 5 takes the ' +
    'X-Request-Id of the client or makes one, and puts it into the log, the request to the service, the response and the ' +
    'body of a refusal. It can do this only for its own call: a service must send the id on with each call that it makes ' +
    'itself. Where one service does not, the search ends. Phase 6 sends the trace context of the W3C too, which many ' +
    'libraries pass on by themselves.',
  code: [
    { file: 'request-id.ts', marker: 'id : newId()', why: 'the id of the client, or a new one' },
    { file: 'headers.ts', marker: "kept.push('x-request-id', request.id)", why: 'the service gets it' },
    { file: 'access-log.ts', marker: 'id: exchange.id', why: 'the log line has it' },
  ],
  next: [
    'npm run diff -- 4 5             everything that phase 5 adds',
    'phases/6-tracing/README.md      where did the time go?',
  ],
};
