import { defaultPorts } from '../repository/demo-ports.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { readPort, refuseWords } from '../terminal/option-values.ts';
import type { DemoService } from '../upstreams/demo-service.ts';
import { startDemoServices, startOneDemoService } from '../upstreams/demo-services.ts';

type Name = keyof typeof defaultPorts;

const usage = `Runs the demo services inventory and orders.

  npm run services -- [options]

  --inventory-port NUMBER   default ${defaultPorts.inventory}; 0 picks a free one
  --orders-port NUMBER      default ${defaultPorts.orders}; 0 picks a free one
  --only NAME               runs only this one: inventory or orders
  --host ADDRESS            where to listen; default 127.0.0.1, this machine only
  --help                    this text`;

const resources: Record<Name, string> = {
  inventory: '/, /1, /warehouses, /echo, /events',
  orders: '/, /1, /customers, /echo, /events',
};

await runCommand(async () => {
  const { values, positionals } = readArguments(usage, {
    'inventory-port': { type: 'string' },
    'orders-port': { type: 'string' },
    only: { type: 'string' },
    host: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  refuseWords(usage, positionals);

  const only = readName(values.only);
  const ports = {
    inventory: readPort('inventory-port', values['inventory-port'], defaultPorts.inventory),
    orders: readPort('orders-port', values['orders-port'], defaultPorts.orders),
  };
  if (only) {
    const service = await startOneDemoService(only, ports[only], values.host);
    closeAtTheEnd(service);
    return console.log(
      `${describeService(only, service)}\n\nFaults on demand: ${service.url}/_faults. Ctrl-C stops it.`,
    );
  }

  const services = await startDemoServices(ports, values.host);
  closeAtTheEnd(services);

  const { inventory, orders } = services;
  console.log(`${describeService('inventory', inventory)}
${describeService('orders', orders)}

Faults on demand; each stays until the next one, or until it is cleared:
  # the next 3 orders requests answer 503
  curl ${orders.url}/_faults -d fault=status -d status=503 -d times=3
  # inventory takes 2 seconds (also: hang, reset, cut, trailer, offline, refuse, flapping; a wrong name lists them)
  curl ${inventory.url}/_faults -d fault=slow -d ms=2000
  # clears the fault of orders
  curl -X DELETE ${orders.url}/_faults

Ctrl-C stops both.`);
});

function readName(word: string | undefined): Name | undefined {
  if (word === undefined || word === 'inventory' || word === 'orders') return word;
  throw new CliError(`--only takes inventory or orders, not "${word}".`);
}

function describeService(name: Name, { url }: DemoService): string {
  return `${name.padEnd(9)} listens on ${url}   (${resources[name]})`;
}

function closeAtTheEnd(services: { close(): Promise<void> }): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => services.close());
}
