// These sentences break gateways that keep all the others. A service answers before it is asked, a connection
// grows old, a name has two addresses, no descriptors are left, uploads come in chunks of 1 byte. At the end
// come random bytes, good and bad, in random pieces, on many connections at the same time; npm run fuzz sends
// them for longer, and repeats a case.

import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import net, { type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, type TestContext, test, vi } from 'vitest';
import { closeField, type Field, prepareField } from '../any-bytes/field.ts';
import { sendIdleBytes } from '../any-bytes/idle-bytes.ts';
import { runCases, shrinkCase } from '../any-bytes/run.ts';
import { answersIn, connect, expectProblem, send, sendRaw, until } from '../harness/client.ts';
import { makeFastClock } from '../harness/fast-clock.ts';
import { configFor, type Gateway, type GatewayConfig, startGateway } from '../harness/gateway.ts';
import { expectFair, type LoadProcess, startLoadProcess, uploadsInChunksOf } from '../harness/load.ts';
import {
  canLimitDescriptors,
  canPause,
  holdCalls,
  pauseWhileAnswered,
  startLateService,
  useUpDescriptors,
} from '../harness/local-causes.ts';
import { namespacesAvailable, startNameServer } from '../harness/name-server.ts';
import { expectBegun, startRawUpstream, startUpstream } from '../harness/upstream.ts';
import { start, startTo } from './own-gateway.ts';
import { get } from './requests.ts';

// Each of these tests starts its own gateway process, several at the same time.
vi.setConfig({ testTimeout: 60_000 });

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
);
const addressesOfLocalhost = (await lookup('localhost', { all: true })).map(({ address }) => address);

// Set by npm run fuzz.
const cases = readNumber('ANY_BYTES_CASES', 1_000);
const minutes = readNumber('ANY_BYTES_MINUTES', 0);
const seed = readNumber('ANY_BYTES_SEED', 1);
const only = readNumber('ANY_BYTES_ONLY', -1);

let field: Field;

beforeAll(async () => {
  field = await prepareField();
});

afterAll(() => closeField(field));

/** The log has only errors of the gateway, because its level is `error`. */
function expectNoErrors(): void {
  expect(field.gateway.stdout() + field.gateway.stderr()).toBe('');
}

/** The smallest case that fails like this one, and the command that repeats it. */
async function explain({ number, error }: { number: number; error: Error }): Promise<Error> {
  const smallest = await shrinkCase(field, seed, number);
  const remark = smallest
    ? `This is the smallest case that fails, made from case ${number}.`
    : `Case ${number} failed once, at the same time as others. Alone it did not fail.`;
  const repeat = `To send case ${number} again: npm run fuzz -- --seed ${seed} --case ${number}`;
  return new Error(`${remark} ${repeat}\n${(smallest ?? error).message}`);
}

function readNumber(name: string, fallback: number): number {
  const text = process.env[name];
  return text ? Number(text) : fallback;
}

describe.concurrent('an idle connection to a service', () => {
  const unasked = 'not requested';
  const respond = (socket: Socket, body: string) =>
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);

  const isStopped = (pid: number) => / T /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));

  /** Sends SIGSTOP and waits until the process has stopped. */
  async function freeze(pid: number): Promise<void> {
    process.kill(pid, 'SIGSTOP');
    await until(() => isStopped(pid), 'the gateway has stopped');
  }

  // The gateway is stopped twice. After the first stop it finds a request for the service and a crowd of 300 others at the
  // same moment. The second stop comes with the first answer to the crowd: the gateway has read the request for the service
  // and has not written it yet, because the crowd keeps it busy. Then the service sends its bytes. A round does not count if
  // half of the crowd has been answered by then, because the request may have been written. Needs /proc of Linux.
  test.skipIf(process.platform !== 'linux')(
    'gives no client an answer that was not requested, whenever the service sends it',
    async () => {
      let latest: Socket | undefined;
      const service = await startRawUpstream((socket) => {
        latest = socket;
        respond(socket, 'asked for');
      });
      const gateway = await startTo(service.url);
      const client = await connect(gateway);
      const crowd = await Promise.all(Array.from({ length: 300 }, () => connect(gateway)));
      const manyFields = `GET /nowhere HTTP/1.1\r\nHost: a\r\n${'a: b\r\n'.repeat(2_000)}\r\n`;
      let rounds = 0;
      for (let tries = 1; rounds < 10 && tries <= 30; tries++) {
        client.socket.write(get('/api/x'));
        await until(() => answersIn(client.received()).length === 2 * tries - 1, 'a connection is kept');
        const idle = latest as Socket;
        const begun = service.begun();

        await freeze(gateway.pid);
        client.socket.write(get('/api/x'));
        for (const { socket } of crowd) socket.write(manyFields);
        const refused = Promise.race(crowd.map(({ socket }) => once(socket, 'data')));
        process.kill(gateway.pid, 'SIGCONT');
        await refused;
        await freeze(gateway.pid);
        for (let turns = 0; turns < 10; turns++) await nextTurn(); // what it has sent is read
        const answered = crowd.filter(({ received }) => answersIn(received()).length === tries).length;
        if (service.begun() === begun && answered < crowd.length / 2) {
          rounds++;
          respond(idle, unasked);
        }
        process.kill(gateway.pid, 'SIGCONT');

        await until(() => answersIn(client.received()).length === 2 * tries, 'the request is answered');
        await until(
          () => crowd.every(({ received }) => answersIn(received()).length === tries),
          'the crowd is answered',
        );
      }
      for (const { socket } of [client, ...crowd]) socket.destroy();
      const got = answersIn(client.received()).map(({ text }) => text);
      expect(got.filter((text) => text === unasked)).toEqual([]);
    },
  );
});

describe.concurrent('HOST', () => {
  const twoHosts = `GET /api/x HTTP/1.1\r\nHost: a\r\n${'a: b\r\n'.repeat(1_200)}Host: b\r\nConnection: close\r\n\r\n`;

  async function accepts(host: string, port: number): Promise<boolean> {
    const socket = net.connect(port, host);
    try {
      await once(socket, 'connect');
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }

  test('may be a name: the log says on which address the gateway listens, and all limits hold there', async () => {
    const { gateway, service } = await start(undefined, { HOST: 'localhost' });
    expect(addressesOfLocalhost).toContain(gateway.host);
    expect((await send(gateway, '/api/x')).status).toBe(200);
    const { text } = await sendRaw(gateway, twoHosts);
    expect(answersIn(text).map(({ status }) => status)).toEqual([400]);
    expectBegun(service, 1);
    await gateway.stop();
  });

  // Needs a localhost with two addresses: 127.0.0.1 and ::1.
  test.skipIf(!hasIPv6 || addressesOfLocalhost.length < 2)(
    'may be a name with two addresses: there is no second listener, with other limits or the same',
    async () => {
      const { gateway } = await start(undefined, { HOST: 'localhost' });
      const listening: string[] = [];
      for (const host of addressesOfLocalhost) {
        if (!(await accepts(host, gateway.port))) continue;
        listening.push(host);
        const { text } = await sendRaw({ host, port: gateway.port }, twoHosts);
        expect(answersIn(text).map(({ status }) => status)).toEqual([400]);
      }
      expect(listening).toEqual([gateway.host]);
      await gateway.stop();
    },
  );
});

// A process of its own keeps the gateway busy on five connections, while twenty other clients measure.
// They take a third of the time of this suite. npm run ladder -- --rest leaves them out.
const withoutFairness = process.env.WITHOUT_FAIRNESS === 'true';

describe.skipIf(withoutFairness)('other clients wait at most twice as long', { timeout: 180_000 }, () => {
  let gateway: Gateway;
  let load: LoadProcess;

  beforeAll(async () => {
    load = await startLoadProcess();
    const service = await startUpstream((_request, response) => response.end('ok'));
    gateway = await startGateway(
      configFor({
        services: {
          service: { url: service.url, timeoutMs: 30_000 },
          sink: { url: load.sinkUrl, timeoutMs: 30_000 },
        },
        routes: [
          { prefix: '/api', service: 'service' },
          { prefix: '/sink', service: 'sink' },
        ],
      }),
    );
  });

  test.each([
    ['go to a service', '/sink/x'],
    ['have no route', '/nowhere'],
  ])('while uploads in chunks of 1 byte %s: as long as with chunks of 64 KiB', async (_, target) => {
    await expectFair(gateway, '/api/x', load, {
      usual: uploadsInChunksOf(65_536, target),
      unusual: uploadsInChunksOf(1, target),
    });
  });

  test('while clients pipeline 1,000 refused requests: as long as with one at a time', async () => {
    const head = 'GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n';
    await expectFair(gateway, '/api/x', load, {
      usual: { head, depth: 1 },
      unusual: { head, depth: 1_000 },
    });
  });
});

describe.concurrent('a connection to a service', { timeout: 90_000 }, () => {
  // In these gateways a minute takes 3 s.
  const factor = 20;
  /** The longest life of a connection, and what a busy machine may add. */
  const minuteMs = 60_000 / factor;
  const latenessMs = 1_000;

  async function start(url: string, { skip }: TestContext, through?: string[]): Promise<Gateway> {
    const clock = makeFastClock(factor);
    const config = configFor({
      services: { service: { url, timeoutMs: 60_000 } },
      routes: [{ prefix: '/api', service: 'service' }],
    });
    const gateway = await startGateway(config, { env: clock.env, through });
    if (!clock.runsIn(gateway))
      skip('This gateway does not run in Node, so its clock cannot be made faster.');
    return gateway;
  }

  /** A function that returns true from `ms` after now. */
  function isPast(ms: number): () => boolean {
    const end = performance.now() + ms;
    return () => performance.now() > end;
  }

  /** Sends requests on `width` connections, one after the other on each, until `end` is true. All must be answered. */
  async function load(gateway: Gateway, width: number, end: () => boolean): Promise<void> {
    const client = async () => {
      while (!end()) expect((await send(gateway, '/api/load')).status).toBe(200);
    };
    await Promise.all(Array.from({ length: width }, client));
  }

  test('gets no new request when it is a minute old, and is not cut while it is busy', async (context) => {
    const opened = new Map<Socket, number>();
    const ages: number[] = [];
    const service = await startUpstream((request, response) => {
      const { socket } = request;
      if (!opened.has(socket)) opened.set(socket, performance.now());
      ages.push(performance.now() - (opened.get(socket) as number));
      setTimeout(() => response.end('ok'), 5);
    });
    const gateway = await start(service.url, context);
    const isOver = isPast(3 * minuteMs);
    await load(gateway, 4, () => service.connections() >= 12 || isOver());
    expect(Math.max(...ages)).toBeLessThan(minuteMs + latenessMs);
    await gateway.stop();
  });

  test('that was opened together with others is not renewed in the same instant', async (context) => {
    const width = 40;
    const last = new Map<Socket, number>();
    const service = await startUpstream((request, response) => {
      last.set(request.socket, performance.now());
      setTimeout(() => response.end('ok'), 100);
    });
    const gateway = await start(service.url, context);
    const first = () => [...last].slice(0, width);
    const isOver = isPast(5 * minuteMs);
    const renewed = () => first().filter(([socket]) => socket.destroyed);
    await load(gateway, width, () => renewed().length === width || isOver());
    expect(renewed()).toHaveLength(width);
    const ends = first().map(([, time]) => time);
    expect(Math.max(...ends) - Math.min(...ends)).toBeGreaterThan(250); // 5 s on the clock of the gateway
    await gateway.stop();
  });

  test('stays open for a response that takes longer than a minute', async (context) => {
    let stream: ServerResponse | undefined;
    const service = await startUpstream((request, response) => {
      if (request.url !== '/stream') return void response.end('ok');
      response.write('begin ');
      stream = response;
    });
    const gateway = await start(service.url, context);
    const answer = send(gateway, '/api/stream', { timeoutMs: 60_000 });
    await until(() => stream !== undefined, 'the stream has begun');
    await load(gateway, 2, isPast(2 * minuteMs));
    stream?.end('end');
    expect((await answer).text).toBe('begin end');
    await gateway.stop();
  });

  // Needs a name server of its own.
  test.skipIf(!namespacesAvailable)(
    'follows a name that leads elsewhere within a minute (Linux only, as root)',
    async (context) => {
      const [oldHost, newHost] = ['127.77.1.1', '127.77.1.2'] as const;
      const before = await startUpstream(undefined, { host: oldHost });
      const after = await startUpstream(undefined, { host: newHost, port: before.port });
      const answers = { 'moving.test': [oldHost as string] };
      const names = await startNameServer({ answers });
      const gateway = await start(`http://moving.test:${before.port}`, context, names.through);
      expect((await send(gateway, '/api/1')).status).toBe(200);
      answers['moving.test'] = [newHost];
      const isLate = isPast(minuteMs + latenessMs);
      await load(gateway, 1, () => after.begun() > 0 || isLate());
      expect(after.begun()).toBeGreaterThan(0);
      await gateway.stop();
    },
  );
});

describe('any bytes', () => {
  test('of clients and services: every request gets its own answer or a refusal, and nothing else is executed', {
    timeout: (minutes + 5) * 60_000,
  }, async () => {
    const end = Date.now() + minutes * 60_000;
    const isEnough = (sequences: number) => {
      if (only >= 0) return sequences > 0;
      return minutes > 0 ? Date.now() > end : sequences >= cases;
    };
    const { failed, ...sent } = await runCases(field, { seed, first: Math.max(only, 0), isEnough });
    if (minutes > 0) console.log(`${sent.sequences} byte sequences with ${sent.requests} requests`);
    if (failed) throw await explain(failed);
    expectNoErrors();
  });

  // Needs /proc of Linux.
  test.skipIf(process.platform !== 'linux')(
    'of a service on an idle connection answer no request, whatever they are',
    { timeout: 120_000 },
    async () => {
      await sendIdleBytes(field, { seed, rounds: 5, tries: 15 });
      expectNoErrors();
    },
  );
});

// Skipped on other systems than the name of each test says.
// Their gateways start one after the other, which counts as time of each test.
describe.concurrent('trouble of the gateway is not a failure of the service:', { timeout: 90_000 }, () => {
  const timeoutMs = 3_000;

  /** A config with a service and a route for each name. */
  function configTo(urls: Record<string, string>, limitMs = timeoutMs): GatewayConfig {
    return configFor({
      services: Object.fromEntries(
        Object.entries(urls).map(([name, url]) => [name, { url, timeoutMs: limitMs }]),
      ),
      routes: Object.keys(urls).map((name) => ({ prefix: `/${name}`, service: name })),
    });
  }

  test.skipIf(!canPause)(
    'responses that arrive while the process is paused are passed on (not on Windows)',
    async () => {
      const held = holdCalls();
      const gateway = await startGateway(configTo({ service: (await startUpstream(held.handler)).url }));
      const answers = await pauseWhileAnswered(gateway, '/service', held, 5, timeoutMs);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
      await gateway.stop();
    },
  );

  test.skipIf(!canLimitDescriptors).each(['127.0.0.1', 'localhost'])(
    'no descriptors left gives 503 until there are some, with the service at %s (Linux only)',
    async (host) => {
      const { port } = await startUpstream();
      const gateway = await startGateway(configTo({ service: `http://${host}:${port}` }));
      const answers = await useUpDescriptors(gateway, '/service', 20);
      for (const answer of answers) expectProblem(answer, 503, 'gateway-exhausted');
      const isServed = () =>
        send(gateway, '/service').then(
          ({ status }) => status === 200,
          () => false,
        );
      await until(isServed, 'the service is called');
      await gateway.stop();
    },
  );

  describe.skipIf(!namespacesAvailable)('a name (Linux only, as root)', () => {
    test('with two addresses gives the first one time to accept', async () => {
      const [first, second] = ['127.77.0.1', '127.77.0.2'];
      const late = await startLateService(first);
      const names = await startNameServer({ answers: { 'late.test': [first, second] } });
      const config = configTo({ late: `http://late.test:${late.port}` }, 10_000);
      const gateway = await startGateway(config, { through: names.through });
      const answer = send(gateway, '/late');
      await until(late.isAwaited, 'the gateway connects', 15_000);
      // The kernel tries again after a second.
      late.begin();
      expect((await answer).text).toBe('late');
      await gateway.stop();
    });

    test('that hangs is looked up once at a time, however many calls wait for it', async () => {
      const { port } = await startUpstream();
      const names = await startNameServer({ answers: {}, hosts: { 'healthy.test': '127.0.0.1' } });
      const config = configTo({
        hanging: `http://hanging.test:${port}`,
        healthy: `http://healthy.test:${port}`,
      });
      const gateway = await startGateway(config, { through: names.through });
      const hanging = Array.from({ length: 8 }, () => send(gateway, '/hanging'));
      await until(() => names.queries('hanging.test') > 0, 'the name server is asked', 15_000);
      expect((await send(gateway, '/healthy')).status).toBe(200);
      for (const answer of await Promise.all(hanging)) expectProblem(answer, 504, 'upstream-timeout');
      await gateway.stop('SIGKILL'); // getaddrinfo() would hold up the exit
    });

    test('that hangs holds up no other, even if there are several', async () => {
      const { port } = await startUpstream();
      const names = await startNameServer({ answers: { 'healthy.test': ['127.0.0.1'] } });
      const hanging = Array.from({ length: 8 }, (_, i) => `hanging-${i}`);
      const config = configTo({
        ...Object.fromEntries(hanging.map((name) => [name, `http://${name}.test:${port}`])),
        healthy: `http://healthy.test:${port}`,
      });
      const gateway = await startGateway(config, { through: names.through });
      const calls = hanging.map((name) => send(gateway, `/${name}`));
      await until(() => names.queries('hanging-0.test') > 0, 'the name server is asked', 15_000);
      expect((await send(gateway, '/healthy')).status).toBe(200);
      await Promise.all(calls);
      await gateway.stop('SIGKILL'); // getaddrinfo() would hold up the exit
    });
  });
});
