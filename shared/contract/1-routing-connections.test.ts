import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { RequestListener, ServerResponse } from 'node:http';
import net, { type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { answersIn, connect, send, sendRaw, until } from './harness/client.ts';
import { configFor, startGateway } from './harness/gateway.ts';
import { startRawUpstream, startUpstream } from './harness/upstream.ts';

// Each of these tests starts its own gateway process, several at the same time.
vi.setConfig({ testTimeout: 60_000 });

/** A limit for "at once": below the 10 s that a stop may take, far above what an exit needs on an idle machine. */
const atOnceMs = 8_000;

async function startTo(url: string, env: Record<string, string> = {}) {
  const services = { service: { url, timeoutMs: 60_000 } };
  return startGateway(configFor({ services, routes: [{ prefix: '/api', service: 'service' }] }), { env });
}

async function start(handler?: RequestListener, env?: Record<string, string>) {
  const service = await startUpstream(handler);
  return { service, gateway: await startTo(service.url, env) };
}

function put(path: string, body = 'hello'): string {
  return `PUT ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
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

describe.concurrent('an idle connection of a client', () => {
  test('is closed after KEEP_ALIVE_TIMEOUT_MS', async () => {
    const { gateway } = await start(undefined, { KEEP_ALIVE_TIMEOUT_MS: '1000' });
    const client = await connect(gateway);
    client.socket.write(get('/api/x'));
    await until(() => answersIn(client.received()).length === 1, 'an answer');
    const idleSince = performance.now();
    await until(() => client.closed(), 'the connection is closed', 20_000);
    expect(performance.now() - idleSince).toBeGreaterThan(900);
    await gateway.stop();
  });

  test('stays open for as long as KEEP_ALIVE_TIMEOUT_MS says', async () => {
    const { gateway } = await start(undefined, { KEEP_ALIVE_TIMEOUT_MS: '8000' });
    const client = await connect(gateway);
    client.socket.write(get('/api/x'));
    await until(() => answersIn(client.received()).length === 1, 'an answer');
    const idleSince = performance.now();
    await until(() => client.closed(), 'the connection is closed', 20_000);
    expect(performance.now() - idleSince).toBeGreaterThan(7_900);
    await gateway.stop();
  });
});

describe.concurrent('pipelined requests', () => {
  test('reach the service one after the other, each after the answer to the one before', async () => {
    const events: string[] = [];
    let release = () => {};
    const { gateway, service } = await start((request, response) => {
      const { method, url } = request;
      if (method !== 'PUT') return void response.end('ok');
      events.push(`${url} begins`);
      const answer = () => {
        events.push(`${url} is answered`);
        response.end(url);
      };
      request.on('end', () => {
        if (url === '/slow') release = answer;
        else answer();
      });
    });
    const client = await connect(gateway);
    client.socket.write(put('/api/slow') + put('/api/fast'));
    await until(() => service.seen.length > 0, 'the first request has arrived');
    // The gateway has had time for the second request when it has served three others.
    for (let i = 0; i < 3; i++) expect((await send(gateway, '/api/other')).text).toBe('ok');
    expect(events).toEqual(['/slow begins']);
    release();
    await until(() => answersIn(client.received()).length === 2, 'two answers');
    client.socket.destroy();
    expect(answersIn(client.received()).map(({ text }) => text)).toEqual(['/slow', '/fast']);
    expect(events).toEqual(['/slow begins', '/slow is answered', '/fast begins', '/fast is answered']);
  });

  test('of one connection, 1,000 of them, take one call at a time, and do not hold up other clients', async () => {
    let open = 0;
    let mostOpen = 0;
    let released = false;
    const held: ServerResponse[] = [];
    const { gateway } = await start((request, response) => {
      if (request.url === '/other') return void response.end('ok');
      open++;
      mostOpen = Math.max(mostOpen, open);
      response.once('close', () => open--);
      if (released) response.end(request.url);
      else held.push(response);
    });
    const targets = Array.from({ length: 1_000 }, (_, i) => `/${i}`);
    const client = await connect(gateway);
    client.socket.write(targets.map((target) => get(`/api${target}`)).join(''));
    await until(() => held.length > 0, 'the first request has arrived');
    for (let i = 0; i < 10; i++) {
      expect((await send(gateway, '/api/other', { timeoutMs: atOnceMs })).text).toBe('ok');
    }
    expect(held).toHaveLength(1);
    released = true;
    held[0]?.end('/0');
    const last = `\r\n\r\n${targets.at(-1)}`;
    await until(() => client.received().includes(last), 'the last answer', 30_000);
    client.socket.destroy();
    expect(answersIn(client.received()).map(({ text }) => text)).toEqual(targets);
    expect(mostOpen).toBe(1);
  });

  test('are not read without end while they wait', async () => {
    const { gateway, service } = await start((request, response) => {
      if (request.url === '/other') response.end('ok');
    });
    const padded = `GET /api/x HTTP/1.1\r\nHost: a\r\nX-Padding: ${'x'.repeat(8_000)}\r\n\r\n`.repeat(8);
    const parts = 600; // 38 MB, more than the buffers of the system hold
    let taken = 0;
    const client = await connect(gateway);
    const write = () => {
      client.socket.write(padded, () => {
        if (++taken < parts) write();
      });
    };
    write();
    await until(() => service.begun() > 0, 'the first request has arrived');
    // While the gateway serves 20 other requests, it has time to read from this connection, too.
    let before = 0;
    for (let still = 0; still < 20 && taken < parts; still++) {
      if (taken > before) still = 0;
      before = taken;
      expect((await send(gateway, '/api/other')).text).toBe('ok');
    }
    client.socket.destroy();
    expect(taken).toBeLessThan(parts);
  });

  test('are answered if they were executed when a signal to stop comes, and the others are not executed', async () => {
    const executed: string[] = [];
    const { gateway } = await start((request, response) => {
      request.on('end', () => {
        executed.push(request.url as string);
        setTimeout(() => response.end(request.url), 5);
      });
    });
    const clients = await Promise.all(Array.from({ length: 10 }, () => connect(gateway)));
    for (const [number, { socket }] of clients.entries()) {
      socket.write(Array.from({ length: 40 }, (_, i) => put(`/api/${number}/${i}`)).join(''));
    }
    await until(() => executed.length >= 20, 'some requests have been executed');
    expect((await gateway.stop()).code).toBe(0);
    await until(() => clients.every(({ closed }) => closed()), 'every connection is closed');
    const answered = clients.flatMap(({ received }) => answersIn(received()).map(({ text }) => text));
    expect(answered.toSorted()).toEqual(executed.toSorted());
    expect(executed.length).toBeLessThan(400);
  });

  test('of a client that leaves are not called: only the call in flight is cancelled', async () => {
    let cancelled = 0;
    const { gateway, service } = await start((request, response) => {
      if (request.url === '/other') return void response.end('ok');
      response.once('close', () => cancelled++);
    });
    const post = put('/api/left').replace('PUT', 'POST');
    const client = await connect(gateway);
    client.socket.write(post.repeat(3));
    await until(() => service.seen.length > 0, 'the service has the first body');
    expect((await send(gateway, '/api/other')).text).toBe('ok');
    client.socket.destroy();
    await until(() => cancelled > 0, 'the call is cancelled', atOnceMs);
    for (let i = 0; i < 3; i++) expect((await send(gateway, '/api/other')).text).toBe('ok');
    expect(service.seen.map(({ target }) => target)).toEqual(['/left', ...Array(4).fill('/other')]);
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    const lines = gateway.log().filter(({ path }) => path === '/api/left');
    expect(lines).toMatchObject([{ method: 'POST', route: '/api', service: 'service', status: 499 }]);
  });
});

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
);
const addressesOfLocalhost = (await lookup('localhost', { all: true })).map(({ address }) => address);

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
    expect(service.begun()).toBe(1);
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

  // Needs IPv6.
  test.skipIf(!hasIPv6)(':: tells services the IPv4 address of a client in its own form', async () => {
    const { gateway, service } = await start(undefined, { HOST: '::' });
    expect((await send({ host: '127.0.0.1', port: gateway.port }, '/api/x')).status).toBe(200);
    expect((await send({ host: '::1', port: gateway.port }, '/api/x')).status).toBe(200);
    expect(service.seen.map(({ headers }) => headers['x-forwarded-for'])).toEqual(['127.0.0.1', '::1']);
    await gateway.stop();
  });
});
