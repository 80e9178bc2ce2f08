import { join } from 'node:path';
import { startPhase } from '../../process/gateway-process.ts';
import { findPorts } from '../../process/ports.ts';
import type { Phase } from '../../repository/phases.ts';
import { workspacePath } from './workspace.ts';

/** Starts the workspace once with its own config; undefined when it answers GET /health, otherwise its stderr. */
export async function tryStart(phase: Phase): Promise<string | undefined> {
  const folder = workspacePath();
  const [port = 0, adminPort = 0] = await findPorts(0, 2);
  let output = '';
  const keep = (line: string) => {
    output += `${line}\n`;
  };
  const gateway = startPhase({ ...phase, folder }, { port, adminPort }, join(folder, 'gateway.json'), {
    onLog: () => undefined,
    onError: keep,
  });
  const ready = await gateway.ready();
  await gateway.stop();
  return ready ? undefined : output.trim() || 'It ended without a message.';
}
