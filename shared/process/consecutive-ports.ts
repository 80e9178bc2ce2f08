import { once } from 'node:events';
import net from 'node:net';
import { CliError } from '../terminal/cli-error.ts';

/**
 * `count` consecutive ports that are free now, or any free ones for port 0. A port in use throws a CliError that names
 * the option for another one.
 */
export async function findPorts(port: number, count: number, option = '--port'): Promise<number[]> {
  const probes: net.Server[] = [];
  try {
    // All probes stay open until the last port is found. Otherwise port 0 could return the same port twice.
    for (let n = 0; n < count; n++) probes.push(await listen(port === 0 ? 0 : port + n, option));
    return probes.map((probe) => (probe.address() as net.AddressInfo).port);
  } finally {
    await Promise.all(probes.map((probe) => new Promise((closed) => probe.close(closed))));
  }
}

async function listen(port: number, option: string): Promise<net.Server> {
  const probe = net.createServer();
  try {
    probe.listen(port, '127.0.0.1');
    await once(probe, 'listening');
    return probe;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
    throw new CliError(
      `Port ${port} on 127.0.0.1 is ${code === 'EACCES' ? 'not allowed' : 'already in use'}; the gateway needs it.\n` +
        `Choose another with ${option} NUMBER (0 picks a free one), or stop what listens there.`,
    );
  }
}
