import { join } from 'node:path';
import { until } from '../../shared/contract/harness/client.ts';
import { listPhases } from '../../shared/repository/phases.ts';
import { startProcess, type TestProcess } from './processes.ts';

/** The newest phase: the one the stack runs. */
export const newestPhase = listPhases().at(-1) ?? { number: 0, name: '', folder: '' };

/** A gateway of the newest phase that listens on free ports of 127.0.0.1. */
export interface NewestGateway extends TestProcess {
  readonly port: number;
  readonly adminPort: number;
}

/** Starts one and waits until both of its listeners are ready. */
export async function startNewestGateway(
  configFile: string,
  env: NodeJS.ProcessEnv = {},
): Promise<NewestGateway> {
  const running = startProcess(process.execPath, ['--import', 'tsx', join(newestPhase.folder, 'server.ts')], {
    HOST: '127.0.0.1',
    PORT: '0',
    ADMIN_HOST: '127.0.0.1',
    ADMIN_PORT: '0',
    LOG_LEVEL: 'info',
    REDIS_URL: '',
    GATEWAY_CONFIG: configFile,
    ...env,
  });
  let gone = false;
  running.child.once('exit', () => {
    gone = true;
  });
  await until(
    () => {
      if (gone) throw new Error(`The gateway ended before it was ready:\n${running.output()}`);
      return portIn(running, 'listening') > 0 && portIn(running, 'admin listening') > 0;
    },
    'the gateway listens',
    25_000,
  );
  return {
    ...running,
    port: portIn(running, 'listening'),
    adminPort: portIn(running, 'admin listening'),
  };
}

function portIn(running: TestProcess, message: string): number {
  const lines = running.stdout().split('\n').slice(0, -1);
  const line = lines.find((text) => text.includes(`"msg":"${message}"`));
  return line ? Number(new URL(JSON.parse(line).url).port) : 0;
}
