import type { DemoPorts } from '../repository/demo-ports.ts';
import { CliError } from '../terminal/cli-error.ts';
import { type DemoService, startDemoService } from './demo-service.ts';
import { inventory } from './inventory.ts';
import { orders } from './orders.ts';

const resourcesOf = { inventory, orders };

/** Both demo services, running. */
export interface DemoServices {
  readonly inventory: DemoService;
  readonly orders: DemoService;
  close(): Promise<void>;
}

/** Starts both demo services. When a port is in use, it throws a CliError that names the option for another port. */
export async function startDemoServices(ports: DemoPorts, host?: string): Promise<DemoServices> {
  const first = await startOneDemoService('inventory', ports.inventory, host);
  try {
    const second = await startOneDemoService('orders', ports.orders, host);
    return {
      inventory: first,
      orders: second,
      async close() {
        await Promise.all([first.close(), second.close()]);
      },
    };
  } catch (error) {
    await first.close();
    throw error;
  }
}

/** Starts one demo service. Throws the same CliError. */
export async function startOneDemoService(
  name: keyof DemoPorts,
  port: number,
  host = '127.0.0.1',
): Promise<DemoService> {
  try {
    return await startDemoService(name, port, resourcesOf[name](), host);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new CliError(`This machine has no address ${host}; choose another with --host.`);
    }
    if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
    throw new CliError(
      `Port ${port} on ${host} is ${code === 'EACCES' ? 'not allowed' : 'already in use'}; the demo service "${name}" needs it.\n` +
        `Choose another with --${name}-port NUMBER (0 picks a free one), or stop what listens there.`,
    );
  }
}
