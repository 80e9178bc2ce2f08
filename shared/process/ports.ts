import { once } from 'node:events';
import net from 'node:net';
import { CliError } from '../terminal/cli-error.ts';

// Linux, macOS and Windows take ports for outgoing connections and for port 0 from higher ranges, so the system
// does not assign a port of this range to another socket between the check and its use.
const lowest = 20_000;
// Test files that run in parallel have different VITEST_POOL_IDs, and each id has its own 750 ports. Two runs at the same
// time have the same ids, so one of them is given an offset.
const stretch = 750;
const poolId = Number(process.env.VITEST_POOL_ID ?? 1) + Number(process.env.POOL_ID_OFFSET ?? 0);
const first = lowest + ((poolId - 1) % 16) * stretch;
let drawn = Math.floor(Math.random() * stretch);

/** A port of 127.0.0.1 on which nothing listens now. Ports are given out in order, so that a dead one stays dead. */
export async function freePort(): Promise<number> {
  for (;;) {
    drawn = (drawn + 1) % stretch;
    const port = first + drawn;
    const probe = await listen(port).catch(() => undefined);
    if (!probe) continue;
    await close(probe);
    return port;
  }
}

/**
 * `count` consecutive ports that are free now, or any free ones for port 0. A port in use throws a CliError that names
 * the listener that needs it, and the option for another one.
 */
export async function findPorts(
  port: number,
  count: number,
  listener = { name: 'gateway', option: '--port' },
): Promise<number[]> {
  const probes: net.Server[] = [];
  try {
    // All probes stay open until the last port is found. Otherwise port 0 could return the same port twice.
    for (let n = 0; n < count; n++) {
      const next = port === 0 ? 0 : port + n;
      probes.push(await listen(next).catch((error) => refuse(error, next, listener)));
    }
    return probes.map((probe) => (probe.address() as net.AddressInfo).port);
  } finally {
    await Promise.all(probes.map(close));
  }
}

/** `count` consecutive free ports of four digits. */
export async function findFourDigitPorts(count: number): Promise<number[]> {
  for (;;) {
    const port = 5000 + Math.floor(Math.random() * (5000 - count));
    const ports = await findPorts(port, count).catch(() => undefined);
    if (ports) return ports;
  }
}

async function listen(port: number): Promise<net.Server> {
  const probe = net.createServer().listen(port, '127.0.0.1');
  await once(probe, 'listening');
  return probe;
}

async function close(probe: net.Server): Promise<void> {
  probe.close();
  await once(probe, 'close');
}

function refuse(
  error: NodeJS.ErrnoException,
  port: number,
  { name, option }: { name: string; option: string },
): never {
  const { code } = error;
  if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
  throw new CliError(
    `Port ${port} on 127.0.0.1 is ${code === 'EACCES' ? 'not allowed' : 'already in use'}; the ${name} needs it.\n` +
      `Choose another with ${option} NUMBER (0 picks a free one), or stop what listens there.`,
  );
}
