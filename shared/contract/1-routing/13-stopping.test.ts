// SIGTERM ends a gateway without losing a request. It serves for DRAIN_DELAY_MS more, then accepts no new
// connection, finishes what is in flight, and exits with code 0 after 10 s at most. An idle connection does
// not delay the exit.

import { once } from 'node:events';
import http, { type RequestListener } from 'node:http';
import net from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { answersIn, connect, send, settled, until } from '../harness/client.ts';
import { type Gateway, startGateway } from '../harness/gateway.ts';
import { startUpstream } from '../harness/upstream.ts';
import { configTo, start } from './own-gateway.ts';
import { atOnceMs, put } from './requests.ts';

// Most of these tests start their own gateway process, several at the same time.
vi.setConfig({ testTimeout: 60_000 });

async function isRefused(gateway: Gateway): Promise<boolean> {
  const socket = net.connect(gateway.port, gateway.host);
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

describe.concurrent('a signal to stop', () => {
  const get = 'GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n';

  async function start(handler?: RequestListener, env: Record<string, string> = {}) {
    const service = await startUpstream(handler);
    return { service, gateway: await startGateway(configTo(service.url), { env }) };
  }

  // The first two, because they take the longest. A delay of more than 10 s, because frameworks limit their hooks.
  test('is followed by DRAIN_DELAY_MS in which requests are served as before, and then by the drain', async () => {
    const delayMs = 11_000;
    let finish = () => {};
    const { gateway, service } = await start(
      (request, response) => {
        if (request.url === '/slow') finish = () => response.end('finished');
        else response.end('ok');
      },
      { DRAIN_DELAY_MS: String(delayMs) },
    );
    const slow = send(gateway, '/api/slow', { timeoutMs: 30_000 });
    const kept = await connect(gateway);
    kept.socket.write(get);
    await until(() => answersIn(kept.received()).length === 1, 'an answer on a connection that is kept');
    await until(() => service.begun() === 2, 'the slow request is in flight');

    const stopped = gateway.stop();
    const signalledAt = performance.now();
    await gateway.waitForLog((line) => line.msg === 'stopping');
    const elapsed = () => performance.now() - signalledAt;
    while (elapsed() < delayMs - 2_000) {
      expect((await send(gateway, '/api/x')).status).toBe(200);
      await sleep(100); // a request ten times a second
    }
    kept.socket.write(get);
    await until(() => answersIn(kept.received()).length === 2, 'another answer on the kept connection');
    await until(() => isRefused(gateway), 'new connections are refused');
    expect(elapsed()).toBeGreaterThan(delayMs - 50);
    finish();
    expect((await slow).text).toBe('finished');
    expect(await stopped).toMatchObject({ code: 0, signal: null });
  });

  test('waits 10 s at most for a request that never ends', async () => {
    const { gateway, service } = await start(() => {});
    const client = await connect(gateway);
    client.socket.write(get);
    await until(() => service.begun() === 1, 'the request is in flight');
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeGreaterThan(8_000);
    expect(ms).toBeLessThan(12_000);
    await until(() => client.closed(), 'the connection is closed');
  });

  test('logs 499 for a client that leaves as the last one', async () => {
    const { gateway, service } = await start(() => {});
    const client = await connect(gateway);
    client.socket.write(get);
    await until(() => service.begun() === 1, 'the request is in flight');
    const stopped = gateway.stop();
    await gateway.waitForLog((line) => line.msg === 'stopping');
    await until(() => isRefused(gateway), 'new connections are refused');
    client.socket.destroy();
    expect((await stopped).code).toBe(0);
    expect(gateway.log().filter((line) => line.msg === 'request')).toMatchObject([{ status: 499 }]);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('%s ends an idle gateway at once with code 0', async (signal) => {
    const { gateway } = await start();
    const kept = await connect(gateway);
    kept.socket.write(get);
    await until(
      () => answersIn(kept.received()).length === 1,
      'an answer on a connection that is kept alive',
    );
    const { code, ms } = await gateway.stop(signal);
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    await until(() => kept.closed(), 'the connection is closed');
    expect(gateway.log().some((line) => line.msg === 'stopping')).toBe(true);
    expect(gateway.stderr()).toBe('');
  });

  // Browsers open such connections in advance. closeIdleConnections() of Node skips them.
  test('does not wait for connections that never say a word', async () => {
    const { gateway } = await start();
    const mute = await connect(gateway);
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    await until(() => mute.closed(), 'the connection is closed');
  });

  // Node does not count such a connection as idle: it waits for the rest of the header fields.
  test('does not wait for the rest of a request header, on new and on kept connections', async () => {
    const { gateway } = await start();
    const half = 'GET /api/x HTTP/1.1\r\nHo';
    const fresh = await connect(gateway);
    fresh.socket.write(half);
    const kept = await connect(gateway);
    kept.socket.write(get);
    await until(() => answersIn(kept.received()).length === 1, 'an answer on a connection that is kept');
    kept.socket.write(half);
    expect((await send(gateway, '/health')).status).toBe(200); // by now the gateway has read both halves
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(atOnceMs);
    await until(() => fresh.closed() && kept.closed(), 'both connections are closed');
  });

  // A reset makes the client's system drop what it has received and not read. A drain ends unused connections after 500 ms.
  test('waits for the rest of an upload that was refused, so that its client gets the refusal', async () => {
    const { gateway } = await start();
    const socket = net.connect({ port: gateway.port, host: gateway.host, allowHalfOpen: true }).pause();
    await once(socket, 'connect');
    const head = 'POST /unrouted HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n';
    socket.write(`${head}${'x'.repeat(1_000)}`);
    await gateway.waitForLog((line) => line.status === 404);
    const stopped = gateway.stop();
    for (let part = 0; part < 15; part++) {
      socket.write('x'.repeat(1_000));
      await sleep(50);
    }
    let received = '';
    for await (const chunk of socket.setEncoding('latin1')) received += chunk;
    expect(answersIn(received).map(({ status }) => status)).toEqual([404]);
    expect((await stopped).code).toBe(0);
  });

  // More answers than the connection buffers. Each is so small that the gateway has its end before the client has read it.
  test('sends every answer that has begun to its last byte, however late the client reads it', async () => {
    const { gateway, service } = await start((_, response) => void response.end('a'.repeat(12_000)));
    const client = await connect(gateway);
    client.socket.pause();
    client.socket.write(get.repeat(1_000));
    await until(() => service.begun() > 0, 'the service is called');
    await settled(service.begun);
    const mute = await connect(gateway);
    const stopped = gateway.stop();
    await until(() => mute.closed(), 'a connection without a request is closed, after half a second');
    await sleep(100); // two checks of the gateway
    client.socket.resume();
    expect((await stopped).code).toBe(0);
    await until(() => client.closed(), 'the connection is closed');
    const lengths = answersIn(client.received()).map(({ body }) => body.length);
    expect(lengths).toEqual(Array(service.begun()).fill(12_000));
    expect(client.received().endsWith('a')).toBe(true);
  });

  test('ends the process at once when it comes a second time, even during DRAIN_DELAY_MS', async () => {
    const { gateway } = await start(undefined, { DRAIN_DELAY_MS: '300000' });
    const first = gateway.stop();
    await gateway.waitForLog((line) => line.msg === 'stopping');
    const { signal, ms } = await gateway.stop();
    expect(signal).toBe('SIGTERM');
    expect(ms).toBeLessThan(atOnceMs);
    await first;
  });

  // After SIGCONT the stopped gateway finds the connection, the bytes on it and SIGTERM at the same moment. Which of
  // its threads handles the signal varies, so three gateways are tested.
  test.skipIf(process.platform === 'win32')(
    'answers a request that was sent before the signal, though the gateway had not read it',
    async () => {
      const stopUnread = async () => {
        const { gateway } = await start();
        process.kill(gateway.pid, 'SIGSTOP');
        const client = await connect(gateway);
        client.socket.write(get);
        const stopped = gateway.stop();
        process.kill(gateway.pid, 'SIGCONT');
        expect((await stopped).code).toBe(0);
        await until(() => client.closed(), 'the connection is closed');
        // A gateway that reads the request before it handles the signal may still say keep-alive.
        expect(answersIn(client.received()).map(({ status }) => status)).toEqual([200]);
      };
      await Promise.all([stopUnread(), stopUnread(), stopUnread()]);
    },
  );

  test('lets a request in flight finish, says Connection: close, accepts no new one, and then exits', async () => {
    let finish = () => {};
    const { gateway, service } = await start((_, response) => {
      finish = () => response.end('finished');
    });
    const client = await connect(gateway);
    client.socket.write(get);
    await until(() => service.begun() === 1, 'the request is in flight');
    const stopped = gateway.stop();
    await until(() => isRefused(gateway), 'new connections are refused');
    finish();
    const { code } = await stopped;
    await until(() => client.closed(), 'the connection is closed');
    const answers = answersIn(client.received());
    expect(answers.map((answer) => [answer.status, answer.text])).toEqual([[200, 'finished']]);
    expect(answers[0]?.headers.connection).toBe('close');
    expect(code).toBe(0);
    await gateway.waitForLog((line) => line.msg === 'request' && line.status === 200);
  });

  // On Windows SIGHUP cannot be sent to another process.
  test.skipIf(process.platform === 'win32')('may be SIGHUP: what is in flight is answered', async () => {
    let finish = () => {};
    const { gateway, service } = await start((_, response) => {
      finish = () => response.end('finished');
    });
    const client = await connect(gateway);
    client.socket.write(get);
    await until(() => service.begun() === 1, 'the request is in flight');
    const stopped = gateway.stop('SIGHUP');
    await until(() => isRefused(gateway), 'new connections are refused');
    finish();
    expect(await stopped).toMatchObject({ code: 0, signal: null });
    expect(answersIn(client.received()).map(({ status, text }) => [status, text])).toEqual([
      [200, 'finished'],
    ]);
    expect(gateway.log().filter((line) => line.msg === 'stopping')).toMatchObject([{ signal: 'SIGHUP' }]);
  });

  test('lets answers and uploads that have begun finish, and then exits, though connections are kept alive', async () => {
    let finish = () => {};
    const { gateway, service } = await start((request, response) => {
      if (request.method === 'POST') {
        request.on('end', () => response.end('received'));
      } else {
        response.write('begun ');
        finish = () => response.end('finished');
      }
    });
    const reader = await connect(gateway);
    reader.socket.write(get);
    await until(() => reader.received().includes('begun'), 'the answer has begun');
    const body = new Readable({ read() {} });
    const agent = new http.Agent({ keepAlive: true });
    const upload = send(gateway, '/api/x', { method: 'POST', body, agent });
    body.push('first ');
    await until(() => service.begun() === 2, 'the upload has begun');

    const stopped = gateway.stop();
    await gateway.waitForLog((line) => line.msg === 'stopping');
    body.push('second');
    body.push(null);
    expect((await upload).text).toBe('received');
    expect(service.seen.find((seen) => seen.method === 'POST')?.body.toString()).toBe('first second');
    finish();
    const finishedAt = performance.now();
    expect((await stopped).code).toBe(0);
    expect(performance.now() - finishedAt).toBeLessThan(atOnceMs);
    expect(answersIn(reader.received()).map((answer) => answer.text)).toEqual(['begun finished']);
    agent.destroy();
  });

  test('also answers a request that a kept connection sends while another one drains, or closes it', async () => {
    let finish = () => {};
    const { gateway, service } = await start((request, response) => {
      if (request.url === '/slow') finish = () => response.end('finished');
      else response.end('ok');
    });
    const agent = new http.Agent({ keepAlive: true });
    await send(gateway, '/api/x', { agent });
    const slow = send(gateway, '/api/slow');
    await until(() => service.begun() === 2, 'the slow request is in flight');
    const stopped = gateway.stop();
    await gateway.waitForLog((line) => line.msg === 'stopping');
    const late = await send(gateway, '/api/x', { agent }).catch(() => undefined);
    if (late) expect([late.status, late.headers.connection]).toEqual([200, 'close']);
    finish();
    expect((await slow).text).toBe('finished');
    expect((await stopped).code).toBe(0);
    agent.destroy();
  });
});

describe.concurrent('pipelined requests', () => {
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
});
