import { join } from 'node:path';
import { isHealthy } from '../../shared/process/ask.ts';
import { type GatewayPorts, gatewayEnv } from '../../shared/process/gateway-process.ts';
import { freePort } from '../../shared/process/ports.ts';
import { becomesReady } from '../../shared/process/program.ts';
import { listPhases } from '../../shared/repository/phases.ts';
import { startProcess, type TestProcess } from './processes.ts';

/** The newest phase: the one the stack runs. */
export const newestPhase = listPhases().at(-1) ?? { number: 0, name: '', folder: '' };

/** A gateway of the newest phase that listens on these ports of 127.0.0.1. */
export interface NewestGateway extends TestProcess, Readonly<GatewayPorts> {}

const readyMs = 25_000;

/** Starts one, on free ports unless told otherwise, and waits until it is ready. */
export async function startNewestGateway(
  configFile: string,
  env: NodeJS.ProcessEnv = {},
  ports?: GatewayPorts,
): Promise<NewestGateway> {
  const { port, adminPort } = ports ?? { port: await freePort(), adminPort: await freePort() };
  const running = startProcess([process.execPath, '--import', 'tsx', join(newestPhase.folder, 'server.ts')], {
    ...gatewayEnv({ port, adminPort }, configFile),
    LOG_LEVEL: 'info',
    REDIS_URL: '',
    ...env,
  });
  // The admin listener is ready before the one for clients.
  if (await becomesReady(running, () => isHealthy(port), readyMs)) return { ...running, port, adminPort };
  throw new Error(`The gateway is not ready:\n${running.output()}`);
}
