import { constants } from 'node:os';
import { join } from 'node:path';
import { type Phase, root } from '../repository/phases.ts';
import { isHealthy } from './ask.ts';
import { becomesReady, type Exit, forEachLine, startProgram } from './program.ts';

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

/** The environment of a gateway that listens on these ports of 127.0.0.1. */
export function gatewayEnv({ port, adminPort }: GatewayPorts, configFile: string): Record<string, string> {
  return {
    HOST: '127.0.0.1',
    PORT: String(port),
    ADMIN_HOST: '127.0.0.1',
    ADMIN_PORT: String(adminPort),
    GATEWAY_CONFIG: configFile,
  };
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
  ports: GatewayPorts,
  configFile: string,
  { onLog, onError }: Output,
  env: Record<string, string> = {},
): GatewayProcess {
  const server = join(phase.folder, 'server.ts');
  const words = [process.execPath, '--import', 'tsx', '--import', followParent, server];
  const program = startProgram(words, {
    cwd: root,
    env: { ...env, ...gatewayEnv(ports, configFile) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // A process group of its own: Ctrl-C in a terminal then reaches only the run command, which passes it on
    // once. On Windows `detached` would open a console window.
    detached: process.platform !== 'win32',
    // With a hidden console, Ctrl-C would not reach the gateway on Windows.
    windowsHide: false,
  });
  const { child } = program;
  forEachLine(child.stdout, onLog);
  forEachLine(child.stderr, onError);

  return {
    url: `http://127.0.0.1:${ports.port}`,
    ended: program.ended.then(exitCode),
    ready: () => becomesReady(program, () => isHealthy(ports.port), readyMs),
    async stop() {
      // Not disconnect(): Node emits no 'close' after it. The callback gets the error if the child has just ended.
      if (child.connected) child.send('stop', () => undefined);
      await program.endsWithin(stopMs);
    },
    kill() {
      child.kill('SIGKILL');
    },
  };
}

function exitCode({ code, signal }: Exit): number {
  return code ?? 128 + constants.signals[signal as NodeJS.Signals];
}
