import { readArguments } from '../cli/arguments.ts';
import { runCommand } from '../cli/cli-error.ts';
import { readPort, refuseWords } from '../cli/option-values.ts';
import { defaultPorts, startDemoServices } from './demo-services.ts';

const usage = `Runs the demo services inventory and orders.

  npm run services -- [options]

  --inventory-port NUMBER   default ${defaultPorts.inventory}; 0 picks a free one
  --orders-port NUMBER      default ${defaultPorts.orders}; 0 picks a free one
  --help                    this text`;

await runCommand(async () => {
  const { values, positionals } = readArguments(usage, {
    'inventory-port': { type: 'string' },
    'orders-port': { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  refuseWords(usage, positionals);

  const services = await startDemoServices({
    inventory: readPort('inventory-port', values['inventory-port'], defaultPorts.inventory),
    orders: readPort('orders-port', values['orders-port'], defaultPorts.orders),
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => services.close());

  const { inventory, orders } = services;
  console.log(`inventory listens on ${inventory.url}   (/, /1, /warehouses, /echo, /events)
orders    listens on ${orders.url}   (/, /1, /customers, /echo, /events)

Faults on demand; each stays until the next one, or until it is cleared:
  # the next 3 orders requests answer 503
  curl ${orders.url}/_faults -d fault=status -d status=503 -d times=3
  # inventory takes 2 seconds (also: hang, reset, cut, offline, flapping; a wrong name lists them)
  curl ${inventory.url}/_faults -d fault=slow -d ms=2000
  # orders is well again
  curl -X DELETE ${orders.url}/_faults

Ctrl-C stops both.`);
});
