import { once } from 'node:events';
import { createServer } from 'node:net';

// Below the ranges from which Linux, macOS and Windows take ports for outgoing connections and for port 0,
// so nobody gets the number by accident between this check and its use.
const lowest = 20_000;
// Test files that run at once are in different slots of the pool, and each slot has a stretch of ports of its own.
const stretch = 750;
const first = lowest + ((Number(process.env.VITEST_POOL_ID ?? 1) - 1) % 16) * stretch;
let drawn = Math.floor(Math.random() * stretch);

/** A port of 127.0.0.1 on which nothing listens now. One after the other, so that a dead port stays dead. */
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
