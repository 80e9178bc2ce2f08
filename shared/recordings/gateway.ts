import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPhase } from '../process/gateway-process.ts';
import { findFourDigitPorts } from '../process/ports.ts';
import { redirectConfig } from '../repository/demo-config.ts';
import { defaultPorts, type StartServices } from '../repository/demo-ports.ts';
import type { Phase } from '../repository/phases.ts';
import { CliError } from '../terminal/cli-error.ts';

/** Maps the ports that the documents show to the ports in use. */
export type Ports = ReadonlyMap<number, number>;

const documentedPort = 3000;
const documentedAdminPort = 9464;

/** Starts a gateway of the phase and the demo services on free ports, calls `use`, and stops them. `env` is for the gateway. */
export async function withGateway<T>(
  phase: Phase,
  startServices: StartServices,
  use: (ports: Ports) => Promise<T>,
  env: Record<string, string> = {},
): Promise<T> {
  delete process.env.REDIS_URL; // recordings show the embedded Redis, which is empty at every start
  // Four digits, as in the documents: a body that contains a port keeps its Content-Length.
  const [port = 0, adminPort = 0, inventory = 0, orders = 0] = await findFourDigitPorts(4);
  const folder = await mkdtemp(join(tmpdir(), 'phased-gateway-'));
  const services = await startServices({ inventory, orders });
  const config = await redirectConfig(join(phase.folder, 'gateway.json'), { inventory, orders }, folder);
  let output = '';
  const keep = (line: string) => {
    output += `${line}\n`;
  };
  const gateway = startPhase(phase, { port, adminPort }, config, { onLog: keep, onError: keep }, env);
  try {
    if (!(await gateway.ready())) throw new CliError(`Phase ${phase.name} does not start:\n${output}`);
    const ports = new Map([
      [documentedPort, port],
      [documentedAdminPort, adminPort],
      [defaultPorts.inventory, inventory],
      [defaultPorts.orders, orders],
    ]);
    return await use(ports);
  } finally {
    await gateway.stop();
    await services.close();
    await rm(folder, { recursive: true, force: true });
  }
}
