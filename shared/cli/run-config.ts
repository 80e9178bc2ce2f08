import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultPorts } from '../upstreams/demo-services.ts';

/**
 * The config that looks for the demo services on the given ports: the file itself where these are the default
 * ones, else a copy in `folder`. Works on the text, so that the gateway finds every mistake as the user made it.
 */
export async function redirectConfig(
  file: string,
  ports: typeof defaultPorts,
  folder: string,
): Promise<string> {
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
