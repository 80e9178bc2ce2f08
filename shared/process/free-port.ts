import { once } from 'node:events';
import { createServer } from 'node:net';

// Linux, macOS and Windows take ports for outgoing connections and for port 0 from higher ranges, so the system
// does not assign a port of this range to another socket between the check and its use.
const lowest = 20_000;
// Test files that run in parallel have different VITEST_POOL_IDs, and each id has its own 750 ports.
const stretch = 750;
const first = lowest + ((Number(process.env.VITEST_POOL_ID ?? 1) - 1) % 16) * stretch;
let drawn = Math.floor(Math.random() * stretch);

/** A port of 127.0.0.1 on which nothing listens now. Ports are given out in order, so that a dead one stays dead. */
export async function freePort(): Promise<number> {
  for (;;) {
    drawn = (drawn + 1) % stretch;
    const port = first + drawn;
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
