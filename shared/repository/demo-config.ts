import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DemoPorts, defaultPorts } from './demo-ports.ts';

/**
 * Returns the path of a config that has the demo services on the given ports: `file` itself for the default ports,
 * otherwise a copy in `folder`. It replaces text and does not parse it, so that the gateway reports mistakes in the file.
 */
export async function redirectConfig(file: string, ports: DemoPorts, folder: string): Promise<string> {
  if (ports.inventory === defaultPorts.inventory && ports.orders === defaultPorts.orders) return file;
  const toPort = new Map([
    [`http://127.0.0.1:${defaultPorts.inventory}`, `http://127.0.0.1:${ports.inventory}`],
    [`http://127.0.0.1:${defaultPorts.orders}`, `http://127.0.0.1:${ports.orders}`],
  ]);
  const text = await readFile(file, 'utf8');
  const copy = join(folder, 'gateway.json');
  await writeFile(
    copy,
    text.replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, (origin) => toPort.get(origin) ?? origin),
  );
  return copy;
}
