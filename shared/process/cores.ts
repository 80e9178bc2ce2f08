import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { onPath } from './on-path.ts';

/** The core of the measured gateways. Upstream, load generator and Redis share the next one. */
export const gatewayCore = 0;
const helperCore = 1;

/** True when processes can be pinned to cores on this machine. */
export const canPin = process.platform === 'linux' && availableParallelism() >= 2 && onPath('taskset');

/** Pins this process, and every process that it starts, to the helper core. */
export function leaveGatewayCore(): void {
  if (canPin) spawnSync('taskset', ['-acp', String(helperCore), String(process.pid)]);
}

/** The command that runs a program on this core, where processes can be pinned. */
export function pinned(words: string[], core: number | undefined): string[] {
  return core !== undefined && canPin ? ['taskset', '-c', String(core), ...words] : words;
}
