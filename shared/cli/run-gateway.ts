import { fork } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './ask.ts';
import { type Phase, root } from './phases.ts';

const readyMs = 30_000;
// A gateway gives its requests 10 s to finish; one that takes longer than this is stuck.
const stopMs = 12_000;
const followParent = new URL('./run-follow-parent.ts', import.meta.url).href;

/** One gateway process. */
export interface Gateway {
  readonly url: string;
  /** Exit code, or 128 + number of the signal that ended it; all its output has been passed on by then. */
  readonly ended: Promise<number>;
  /** Resolves with true when GET /health answers 200, with false when that does not happen in time. */
  ready(): Promise<boolean>;
  /** Lets it finish what is in flight, and waits for its end. */
  stop(): Promise<void>;
  kill(): void;
}

/** Where a gateway listens, for its clients and for those who run it. */
export interface GatewayPorts {
  port: number;
  adminPort: number;
}

/** Takes the output of a gateway line by line: `onLog` its stdout, `onError` its stderr. */
export interface Output {
  onLog(line: string): void;
  onError(line: string): void;
}

/**
 * Starts the server.ts of a phase. From phase 5 on it listens on the admin port too. `env` is added to the
 * environment of this process.
 */
export function startGateway(
  phase: Phase,
  { port, adminPort }: GatewayPorts,
  configFile: string,
  { onLog, onError }: Output,
  env: Record<string, string> = {},
): Gateway {
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
    // In a group of its own, so that Ctrl-C in a terminal reaches only the run command, which passes it on
    // once. On Windows this would open a window.
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
      // Not disconnect(): after it Node never emits 'close'. The callback takes the error of a child just gone.
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
