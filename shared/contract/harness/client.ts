import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Readable } from 'node:stream';
import { expect } from 'vitest';
import { type Answer, answerOf, answersIn } from '../../process/http-answers.ts';
import { until } from '../../process/until.ts';

export { type Answer, answersIn } from '../../process/http-answers.ts';
export { settled, until } from '../../process/until.ts';

interface Address {
  host: string;
  port: number;
}

/** The parts of a request. A flat header array keeps the order, the case and the repetitions of its names. */
export interface SendOptions {
  method?: string;
  headers?: http.OutgoingHttpHeaders | string[];
  body?: string | Buffer | Readable;
  agent?: http.Agent;
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** Sends one request with this exact target. Follows no redirects, never retries, rejects an incomplete answer. */
export function send(gateway: Address, target: string, options: SendOptions = {}): Promise<Answer> {
  const { method = 'GET', body, agent = false, timeoutMs = 15_000, signal } = options;
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        host: gateway.host,
        port: gateway.port,
        path: target,
        method,
        agent,
        signal,
        headers: framed(options.headers ?? {}, gateway, body),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', fail);
        response.on('close', () => {
          if (response.complete)
            done(
              answerOf(
                response.statusCode as number,
                response.headers,
                response.rawHeaders,
                Buffer.concat(chunks),
              ),
            );
          else fail(new Error('The answer was cut short.'));
        });
      },
    );
    const timer = setTimeout(
      () => request.destroy(new Error(`No complete answer to ${method} ${target} within ${timeoutMs} ms.`)),
      timeoutMs,
    );
    function done(answer: Answer): void {
      clearTimeout(timer);
      resolve(answer);
    }
    function fail(error: Error): void {
      clearTimeout(timer);
      reject(error);
    }
    request.on('error', fail);
    if (body instanceof Readable) body.on('error', fail).pipe(request);
    else request.end(body);
  });
}

/** Writes bytes on one connection. Resolves when it closes or `until` returns true; rejects after `timeoutMs`. */
export function sendRaw(
  gateway: Address,
  bytes: string | Buffer,
  options: { until?: (text: string) => boolean; timeoutMs?: number } = {},
): Promise<{ text: string; closed: boolean }> {
  const { until: enough = () => false, timeoutMs = 5_000 } = options;
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = net.connect(gateway.port, gateway.host, () => {
      socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    });
    const timer = setTimeout(() => {
      reject(new Error(`Still waiting after ${timeoutMs} ms. Received so far:\n${text}`));
      socket.destroy();
    }, timeoutMs);
    function finish(closed: boolean): void {
      clearTimeout(timer);
      resolve({ text, closed });
      socket.destroy();
    }
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      if (enough(text)) finish(false);
    });
    // A reset counts as a close: 'close' follows it, and the result is the text received before.
    socket.on('error', () => {});
    socket.on('close', () => finish(true));
  });
}

/**
 * Writes all bytes piece by piece and reads only then, as blocking clients do: what a reset takes away is lost. Returns
 * the answers when the connection is closed.
 */
export async function writeThenRead(gateway: Address, bytes: string): Promise<Answer[]> {
  const { socket, received, closed } = await connect(gateway);
  socket.pause();
  const pieces = Buffer.from(bytes, 'latin1');
  for (let i = 0; i < pieces.length && !socket.destroyed; i += 65_536) {
    await new Promise((resolve) => socket.write(pieces.subarray(i, i + 65_536), resolve));
  }
  socket.resume();
  await until(closed, 'the connection is closed');
  return answersIn(received());
}

/** A connection on which a test writes the exact bytes it needs, at the moment it chooses. */
export interface Connection {
  readonly socket: net.Socket;
  /** Everything received so far, as latin1. */
  received(): string;
  closed(): boolean;
}

/**
 * Opens a connection; end it with `socket.destroy()`. With `allowHalfOpen` it can write on after the gateway has ended
 * its side.
 */
export async function connect(
  { host, port }: Address,
  options: { allowHalfOpen?: boolean } = {},
): Promise<Connection> {
  let text = '';
  const socket = net.connect({ host, port, ...options });
  await once(socket, 'connect');
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.on('error', () => {});
  return { socket, received: () => text, closed: () => socket.destroyed };
}

// Addresses, error codes and stack lines: internal details that no answer may contain.
const internals =
  /127\.0\.0\.1|localhost:|\bE[A-Z]{5,}\b|UND_ERR|FST_|node_modules|node:|\.[jt]s:\d+|^\s+at /m;

/** Asserts that the answer is this problem (RFC 9457) and contains no internal details. */
export function expectProblem(answer: Answer, status: number, name: string): void {
  expect({ status: answer.status, contentType: answer.headers['content-type'], body: answer.text }).toEqual({
    status,
    contentType: expect.stringMatching(/^application\/problem\+json(;|$)/),
    body: expect.stringContaining(`urn:gateway:problem:${name}`),
  });
  expect(answer.json()).toMatchObject({
    type: `urn:gateway:problem:${name}`,
    title: expect.stringMatching(/\S/),
    status,
    detail: expect.stringMatching(/\S/),
  });
  expect(answer.text).not.toMatch(internals);
}

/** Adds Host to a flat array that lacks it, and Content-Length or Transfer-Encoding to a body that has neither. */
function framed(
  headers: http.OutgoingHttpHeaders | string[],
  { host, port }: Address,
  body: SendOptions['body'],
): http.OutgoingHttpHeaders | string[] {
  const flat = Array.isArray(headers);
  const names = (flat ? headers.filter((_, i) => i % 2 === 0) : Object.keys(headers)).map((name) =>
    name.toLowerCase(),
  );
  const added: Array<[string, string]> = [];
  if (flat && !names.includes('host')) added.push(['Host', `${host}:${port}`]);
  const chosen = names.includes('content-length') || names.includes('transfer-encoding');
  if (body instanceof Readable) {
    if (!chosen) added.push(['Transfer-Encoding', 'chunked']);
  } else if (body !== undefined && !chosen) {
    added.push(['Content-Length', String(Buffer.byteLength(body))]);
  }
  return flat ? [...added.flat(), ...headers] : { ...Object.fromEntries(added), ...headers };
}
