import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import type http from 'node:http';
import net from 'node:net';
import type { Readable } from 'node:stream';
import { afterAll } from 'vitest';
import { endEveryProgram, startProgram } from '../../process/program.ts';
import { until } from '../../process/until.ts';
import { type Answer, answersIn, connect, send } from './client.ts';
import type { Gateway } from './gateway.ts';

/** Trouble of the gateway itself, made for real, while its services are healthy. */

/** True when a process can be paused: Windows has no SIGSTOP. */
export const canPause = process.platform !== 'win32';

/** True when the limit of a running process can be changed. */
export const canLimitDescriptors =
  process.platform === 'linux' && spawnSync('prlimit', ['--version'], { stdio: 'ignore' }).status === 0;

/** Holds the calls to a service until the test answers them. */
export interface Held {
  readonly handler: http.RequestListener;
  readonly responses: http.ServerResponse[];
  answerAll(): void;
}

export function holdCalls(): Held {
  const responses: http.ServerResponse[] = [];
  return {
    responses,
    handler: (_request, response) => void responses.push(response),
    answerAll() {
      for (const response of responses.splice(0)) response.end('held');
    },
  };
}

/** Sends `count` requests, and pauses the gateway for longer than `timeoutMs` while the service answers them. */
export async function pauseWhileAnswered(
  gateway: Gateway,
  target: string,
  held: Held,
  count: number,
  timeoutMs: number,
): Promise<Answer[]> {
  const answers = Array.from({ length: count }, () => send(gateway, target));
  await until(() => held.responses.length === count, 'all calls have reached the service');
  try {
    await pause(gateway);
    const later = Date.now() + timeoutMs + 500;
    held.answerAll();
    await until(() => Date.now() > later, 'timeoutMs is over', timeoutMs + 2_000);
  } finally {
    process.kill(gateway.pid, 'SIGCONT');
  }
  return Promise.all(answers);
}

/** Pauses the gateway; SIGCONT lets it go on. Signals take effect a moment after kill() has returned. */
export async function pause({ pid }: Gateway): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await until(() => isPaused(pid), 'the gateway is paused');
}

function isPaused(pid: number): boolean {
  return spawnSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' }).stdout.startsWith('T');
}

/**
 * Leaves the gateway `spare` descriptors, opens three times as many connections, and sends one GET on each. Returns the
 * answers to those that the gateway could accept. All connections are closed then.
 */
export async function useUpDescriptors(gateway: Gateway, target: string, spare: number): Promise<Answer[]> {
  const descriptors = () => readdirSync(`/proc/${gateway.pid}/fd`).length;
  const limit = descriptors() + spare;
  const { status } = spawnSync('prlimit', ['--pid', String(gateway.pid), `--nofile=${limit}:`]);
  if (status !== 0) throw new Error('prlimit has failed.');
  const clients = await Promise.all(Array.from({ length: 3 * spare }, () => connect(gateway)));
  try {
    await until(() => descriptors() >= limit - 1, 'the gateway has no descriptors left');
    for (const { socket } of clients) socket.write(`GET ${target} HTTP/1.1\r\nHost: gateway\r\n\r\n`);
    const answers = () => clients.flatMap(({ received }) => answersIn(received()));
    await until(() => answers().length >= spare / 2, 'the accepted connections have got an answer');
    return answers();
  } finally {
    for (const { socket } of clients) socket.destroy();
  }
}

/** A service that accepts no connection before `begin()`. Linux only. */
export interface LateService {
  readonly port: number;
  /** True while a connection to it is being made. */
  isAwaited(): boolean;
  begin(): void;
}

afterAll(endEveryProgram);

/** Starts a service whose process is paused and whose backlog is full. The kernel drops attempts to connect to it. */
export async function startLateService(address: string): Promise<LateService> {
  const script = `
    const server = require('node:http').createServer((request, response) => response.end('late'));
    server.listen({ port: 0, host: ${JSON.stringify(address)}, backlog: 1 }, () => {
      require('node:fs').writeSync(1, String(server.address().port));
    });`;
  const { child } = startProgram([process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output] = (await once(child.stdout as Readable, 'data')) as [Buffer];
  const port = Number(output);
  child.kill('SIGSTOP');
  // Linux queues one connection more than the backlog.
  const fillers = [0, 1].map(() => net.connect(port, address).on('error', () => {}));
  await Promise.all(fillers.map((filler) => once(filler, 'connect')));
  const inHex = port.toString(16).toUpperCase().padStart(4, '0');
  const synSent = new RegExp(`:[0-9A-F]{4} [0-9A-F]{8}:${inHex} 02 `);
  return {
    port,
    isAwaited: () => synSent.test(readFileSync('/proc/net/tcp', 'utf8')),
    begin() {
      for (const filler of fillers) filler.destroy();
      child.kill('SIGCONT');
    },
  };
}
