// A client that leaves, uploads slowly or sends a broken body is no failure of the service, and no success
// either. Otherwise one client could open the circuit for all the others, or keep it closed. These calls
// count neither way.

import type http from 'node:http';
import net from 'node:net';
import { describe, expect, test } from 'vitest';
import { sendRaw, until } from '../harness/client.ts';
import { expectBegun } from '../harness/upstream.ts';
import {
  expectFailures,
  gateway,
  hastyMs,
  newHastyService,
  newService,
  outcome,
  status,
  threshold,
} from './circuits.ts';

/** Opens a connection, sends bytes and leaves it open. */
async function connectAndSend(bytes: string): Promise<net.Socket> {
  const socket = net.connect(gateway.port, gateway.host);
  socket.on('error', () => {});
  socket.resume();
  await new Promise((resolve) => socket.write(Buffer.from(bytes, 'latin1'), resolve));
  return socket;
}

/** Answers when the whole request has arrived. */
const whenComplete: http.RequestListener = (request, response) => {
  request.on('end', () => response.end('complete'));
};

describe.concurrent('what a client does counts neither way:', () => {
  test('it leaves before the answer', async () => {
    const service = newService();
    let closed = 0;
    service.behave((_request, response) => void response.on('close', () => closed++));
    for (let i = 1; i <= 2 * threshold; i++) {
      const leave = new AbortController();
      const left = outcome(service, { signal: leave.signal });
      await until(() => service.upstream.begun() === i, 'the call has reached the service');
      leave.abort();
      await left;
      await until(() => closed === i, 'the call to the service is cancelled');
    }
    await expectFailures(service, 0);
  });

  test('it leaves within the answer', async () => {
    const service = newService();
    let closed = 0;
    service.behave((_request, response) => {
      response.on('close', () => closed++);
      response.writeHead(200, { 'content-length': '1000' });
      response.write('the beginning');
    });
    for (let i = 1; i <= 2 * threshold; i++) {
      const request = `GET ${service.target} HTTP/1.1\r\nHost: gateway\r\n\r\n`;
      await sendRaw(gateway, request, { until: (text) => text.includes('the beginning') });
      await until(() => closed === i, 'the call to the service is cancelled');
    }
    await expectFailures(service, 0);
  });

  test.each([
    ['with a length', 'Content-Length: 100000\r\n\r\nthe beginning'],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\nd\r\nthe beginning\r\n'],
  ])('it leaves within its upload %s', async (_how, rest) => {
    const service = newService();
    let closed = 0;
    service.behave((request, response) => {
      response.on('close', () => closed++);
      whenComplete(request, response);
    });
    for (let i = 1; i <= 2 * threshold; i++) {
      const socket = await connectAndSend(`POST ${service.target} HTTP/1.1\r\nHost: gateway\r\n${rest}`);
      await until(() => service.upstream.begun() === i, 'the upload has reached the service');
      if (i % 2) socket.destroy();
      else socket.end();
      await until(() => closed === i, 'the call to the service is cancelled');
      socket.destroy();
    }
    await expectFailures(service, 0);
  });

  test('it leaves between two failures', async () => {
    const service = newService();
    service.behave(status(500));
    for (let i = 1; i < threshold; i++) expect(await outcome(service)).toBe(500);
    let closed = false;
    service.behave((_request, response) => {
      response.on('close', () => {
        closed = true;
      });
    });
    const leave = new AbortController();
    const left = outcome(service, { signal: leave.signal });
    await until(() => service.upstream.begun() === threshold, 'the call has reached the service');
    leave.abort();
    await left;
    await until(() => closed, 'the call to the service is cancelled');
    await expectFailures(service, threshold - 1);
  });

  test.each([501, 505])('it sends what the service answers with %i', async (code) => {
    const service = newService();
    service.behave(status(500));
    for (let i = 1; i < threshold; i++) expect(await outcome(service)).toBe(500);
    service.behave(status(code));
    for (let i = 0; i < 2 * threshold; i++) expect(await outcome(service, { method: 'LOCK' })).toBe(code);
    await expectFailures(service, threshold - 1);
  });

  test('it uploads so slowly that the service cannot answer in time', async () => {
    const service = newHastyService();
    service.behave(whenComplete);
    const request = `POST ${service.target} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100000\r\n\r\nthe beginning`;
    const sockets = await Promise.all(Array.from({ length: 2 * threshold }, () => connectAndSend(request)));
    await until(() => service.upstream.begun() === 2 * threshold, 'all uploads have reached the service');
    const later = Date.now() + 3 * hastyMs;
    await until(() => Date.now() > later, 'three times timeoutMs has passed');
    for (const socket of sockets) socket.destroy();
    await expectFailures(service, 0);
  });

  test('it breaks its own chunks', async () => {
    const service = newService();
    service.behave(whenComplete);
    for (let i = 0; i < 2 * threshold; i++) {
      const { text } = await sendRaw(
        gateway,
        `POST ${service.target} HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nZZ\r\n`,
      );
      expect(text).not.toMatch(/^HTTP\/1\.1 [25]/);
    }
    await expectFailures(service, 0);
  });

  test('it sends chunks that are more framing than data', async () => {
    const service = newService();
    let closed = 0;
    service.behave((request, response) => {
      response.on('close', () => closed++);
      whenComplete(request, response);
    });
    for (let i = 1; i <= 2 * threshold; i++) {
      const client = await connectAndSend(
        `POST ${service.target} HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`,
      );
      await until(() => service.upstream.begun() === i, 'the upload has reached the service');
      let text = '';
      client.setEncoding('latin1').on('data', (part: string) => {
        text += part;
      });
      client.write('1\r\nx\r\n'.repeat(40_000));
      await until(() => client.destroyed, 'the connection is closed');
      expect(text).toMatch(/^HTTP\/1\.1 400 /);
      await until(() => closed === i, 'the call to the service is cancelled');
    }
    await expectFailures(service, 0);
  });

  const wellFormed: Array<[string, string, string, string]> = [
    ['Expect: 100-continue', 'POST', 'Expect: 100-continue\r\nContent-Length: 1', 'x'],
    ['Expect in capitals', 'POST', 'EXPECT: 100-CONTINUE\r\nContent-Length: 1', 'x'],
    ['a bare Keep-Alive', 'GET', 'Keep-Alive: timeout=5', ''],
    ['a bare Upgrade', 'GET', 'Upgrade: websocket', ''],
    ['an upgrade to HTTP/2', 'GET', 'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA', ''],
    ['Proxy-Connection', 'GET', 'Proxy-Connection: keep-alive', ''],
    ['TE and Trailer', 'GET', 'TE: trailers, gzip\r\nTrailer: x-sum', ''],
    ['bytes above 127 in a field', 'GET', 'X-Odd: caf\xe9 \xff', ''],
    ['an empty field', 'GET', 'X-Empty:', ''],
    ['a field of odd letters', 'GET', "X-!#$%&'*+.^_|~: 1", ''],
    ['a body on GET', 'GET', 'Content-Length: 1', 'x'],
    ['an empty POST', 'POST', 'Content-Length: 0', ''],
    ['an empty POST in chunks', 'POST', 'Transfer-Encoding: chunked', '0\r\n\r\n'],
    ['trailers in its upload', 'POST', 'Transfer-Encoding: chunked', '1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n'],
    ['a method of WebDAV', 'PROPFIND', 'Depth: 1', ''],
  ];
  test.each(wellFormed)('it sends %s', async (_what, method, fields, body) => {
    const service = newService();
    service.behave(whenComplete);
    const head = `${method} ${service.target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n${fields}\r\n\r\n`;
    for (let i = 0; i < 2 * threshold; i++) {
      const { text } = await sendRaw(gateway, head + body);
      // The interim 100 Continue comes first when the request has Expect.
      expect(text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '')).toMatch(/^HTTP\/1\.1 200 /);
    }
    await expectFailures(service, 0);
  });

  const malformed: Array<[string, string]> = [
    ['a length and chunks', 'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['an unknown transfer coding', 'Transfer-Encoding: odd\r\n\r\n'],
    ['two lengths', 'Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx'],
    ['a negative length', 'Content-Length: -1\r\n\r\n'],
    ['two hosts', 'Host: other\r\nContent-Length: 0\r\n\r\n'],
    ['20 KiB of headers', `X-Large: ${'x'.repeat(20_000)}\r\n\r\n`],
  ];
  test.each(malformed)('it sends %s', async (_what, rest) => {
    const service = newService();
    for (let i = 0; i < 2 * threshold; i++) {
      const { text } = await sendRaw(
        gateway,
        `POST ${service.target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n${rest}`,
      );
      expect(text).toMatch(/^HTTP\/1\.1 4/);
    }
    expectBegun(service.upstream, 0);
    await expectFailures(service, 0);
  });
});
