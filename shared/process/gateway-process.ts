import { fork } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Phase, root } from '../repository/phases.ts';
import { ask } from './ask.ts';

const readyMs = 30_000;
// A gateway stops within DRAIN_DELAY_MS and 13 s. One that runs longer than this is killed.
const stopMs = 15_000 + Number(process.env.DRAIN_DELAY_MS || 0);
const followParent = new URL('./follow-parent.ts', import.meta.url).href;

/** One gateway process. */
export interface GatewayProcess {
  readonly url: string;
  /** Resolves with the exit code, or 128 + the number of the signal, after all output has been passed on. */
  readonly ended: Promise<number>;
  /** True when GET /health answers 200; false when the process ends or 30 s pass before. */
  ready(): Promise<boolean>;
  /** Lets it finish the requests in flight and waits until it has ended. */
  stop(): Promise<void>;
  kill(): void;
}

/** The public port and the admin port of a gateway. */
export interface GatewayPorts {
  port: number;
  adminPort: number;
}

/** Receives the output of a gateway line by line: `onLog` its stdout, `onError` its stderr. */
export interface Output {
  onLog(line: string): void;
  onError(line: string): void;
}

/**
 * Starts the server.ts of a phase. From phase 5 on it listens on the admin port too. `env` is added to the
 * environment of this process.
 */
export function startPhase(
  phase: Phase,
  { port, adminPort }: GatewayPorts,
  configFile: string,
  { onLog, onError }: Output,
  env: Record<string, string> = {},
): GatewayProcess {
  const url = `http://127.0.0.1:${port}`;
  const child = fork(join(phase.folder, 'server.ts'), {
    execArgv: ['--import', 'tsx', '--import', followParent],
    cwd: root,
    env: {
      ...process.env,
      ...env,
      PORT: String(port),
      HOST: '127.0.0.1',
      ADMIN_PORT: String(adminPort),
      ADMIN_HOST: '127.0.0.1',
      GATEWAY_CONFIG: configFile,
    },
    silent: true,
    // A process group of its own: Ctrl-C in a terminal then reaches only the run command, which passes it on
    // once. On Windows `detached` would open a console window.
    detached: process.platform !== 'win32',
  });
  forEachLine(child.stdout, onLog);
  forEachLine(child.stderr, onError);
  const ended = once(child, 'close').then(([code, signal]) => exitCode(code, signal));
  let over = false;
  const end = () => {
    over = true;
  };
  ended.then(end, end);

  return {
    url,
    ended,
    async ready() {
      const deadline = AbortSignal.timeout(readyMs);
      while (!over && !deadline.aborted) {
        if ((await ask(port, 'GET', '/health'))?.status === 200) return true;
        await sleep(50);
      }
      return false;
    },
    async stop() {
      // Not disconnect(): Node emits no 'close' after it. The callback gets the error if the child has just ended.
      if (child.connected) child.send('stop', () => undefined);
      const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
      await ended;
      clearTimeout(timer);
    },
    kill() {
      child.kill('SIGKILL');
    },
  };
}

function forEachLine(stream: Readable | null, take: (line: string) => void): void {
  if (stream) createInterface({ input: stream }).on('line', take);
}

function exitCode(code: number | null, signal: NodeJS.Signals): number {
  return code ?? 128 + constants.signals[signal];
}
