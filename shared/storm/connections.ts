import { spawnSync } from 'node:child_process';
import net from 'node:net';

// Linux has about 28,000 ports for the connections from one address to one listener.
const perAddress = 5_000;

/** Why this process may not open so many descriptors, and how to change that; undefined when it may. */
export function lackOfDescriptors(wanted: number): string | undefined {
  const { stdout } = spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' });
  const limit = stdout?.trim() === 'unlimited' ? Infinity : Number(stdout || 0);
  if (limit >= wanted) return undefined;
  return (
    `it needs ${wanted} descriptors per process, and ulimit -n is ${limit}. Raise it: ulimit -n ${wanted} in this ` +
    'shell, for more than the hard limit as root or in /etc/security/limits.conf, in Docker with --ulimit nofile'
  );
}

/** The source address of connection number `i`. All of 127.0.0.0/8 is local on Linux. */
export function localAddressOf(i: number): string {
  return process.platform === 'linux' ? `127.0.0.${1 + (Math.floor(i / perAddress) % 250)}` : '127.0.0.1';
}

/** Opens a connection. It resolves also when that fails: the socket is destroyed then. */
export function open(port: number, i = 0, options: Partial<net.TcpNetConnectOpts> = {}): Promise<net.Socket> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: localAddressOf(i), ...options });
    const done = () => resolve(socket);
    socket.on('error', done).once('connect', done);
  });
}

/** Calls `act` for 0 to count - 1, `width` calls at a time. */
export async function inWaves<T>(count: number, width: number, act: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let from = 0; from < count; from += width) {
    const wave = Array.from({ length: Math.min(width, count - from) }, (_, i) => act(from + i));
    results.push(...(await Promise.all(wave)));
  }
  return results;
}

/** Sends GET /health on an open connection. True when the answer is 200. */
export function asksHealth(socket: net.Socket | undefined, timeoutMs = 10_000): Promise<boolean> {
  if (!socket) return Promise.resolve(false);
  return new Promise((resolve) => {
    let text = '';
    const done = (well: boolean) => {
      clearTimeout(timer);
      socket.off('data', read).off('close', fail);
      resolve(well);
    };
    const read = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.endsWith('{"status":"ok"}')) done(text.startsWith('HTTP/1.1 200'));
    };
    const fail = () => done(false);
    const timer = setTimeout(fail, timeoutMs);
    socket.on('data', read).once('close', fail);
    if (socket.destroyed) fail();
    else socket.write('GET /health HTTP/1.1\r\nHost: gateway\r\n\r\n');
  });
}
