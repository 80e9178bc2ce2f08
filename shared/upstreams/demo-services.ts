import { CliError } from '../cli/cli-error.ts';
import { type DemoService, startDemoService } from './demo-service.ts';
import { inventory } from './inventory.ts';
import { orders } from './orders.ts';

/** Where the services listen unless told otherwise; every gateway.json names these ports. */
export const defaultPorts = { inventory: 4001, orders: 4002 };

/** Both demo services, running. */
export interface DemoServices {
  readonly inventory: DemoService;
  readonly orders: DemoService;
  close(): Promise<void>;
}

/** Starts both demo services; a CliError names the port that is taken and the option that chooses another. */
export async function startDemoServices(ports: typeof defaultPorts): Promise<DemoServices> {
  const first = await start('inventory', ports.inventory, inventory);
  try {
    const second = await start('orders', ports.orders, orders);
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

async function start(
  name: keyof typeof defaultPorts,
  port: number,
  resources: typeof inventory,
): Promise<DemoService> {
  try {
    return await startDemoService(name, port, resources());
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
    throw new CliError(
      `Port ${port} on 127.0.0.1 is ${code === 'EACCES' ? 'not allowed' : 'already in use'}; the demo service "${name}" wants it.\n` +
        `Choose another with --${name}-port NUMBER (0 picks a free one), or stop what listens there.`,
    );
  }
}
