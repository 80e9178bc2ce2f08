import net, { type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../process/ports.ts';
import { type RedisServer, startRedis } from '../process/redis-process.ts';
import { until } from '../process/until.ts';
import type { Outage } from './meet-outages.ts';

/** A primary, its replica, and a relay that leads to one of them. */
export interface Servers {
  primary: RedisServer;
  replica: RedisServer;
  relay: Relay;
  close(): Promise<void>;
}

/** One way in which Redis fails. `direct`: the gateways know the address of the server, not that of the relay. */
type ServerOutage = Outage<Servers> & { direct: boolean };

/** Every outage, in the order of the document. */
export const outages: ServerOutage[] = [
  {
    name: 'flushed',
    direct: true,
    exact: true,
    async make({ primary }, ms) {
      for (let i = 0; i < ms / 100; i++) {
        await primary.command('SCRIPT', 'FLUSH');
        await delay(100);
      }
      return performance.now();
    },
  },
  {
    name: 'killed',
    direct: true,
    async make({ primary }, ms) {
      await primary.kill();
      await delay(ms);
      await primary.restart();
      return performance.now();
    },
  },
  {
    name: 'frozen',
    direct: true,
    async make({ primary }, ms) {
      primary.freeze();
      await delay(ms);
      primary.thaw();
      return performance.now();
    },
  },
  {
    name: 'full',
    direct: true,
    async make({ primary }, ms) {
      await primary.command('CONFIG', 'SET', 'maxmemory', '1');
      await delay(ms);
      await primary.command('CONFIG', 'SET', 'maxmemory', '0');
      return performance.now();
    },
  },
  {
    name: 'read-only',
    direct: true,
    async make({ primary }, ms) {
      await primary.command('REPLICAOF', '127.0.0.1', String(await freePort()));
      await delay(ms);
      await primary.command('REPLICAOF', 'NO', 'ONE');
      return performance.now();
    },
  },
  {
    name: 'failed over',
    direct: false,
    async make({ primary, replica, relay }, ms) {
      await replica.command('REPLICAOF', 'NO', 'ONE');
      await primary.command('REPLICAOF', '127.0.0.1', String(replica.port));
      await delay(ms);
      relay.leadTo(replica.port);
      return performance.now();
    },
  },
];

/** Starts a primary with a replica that has caught up. */
export async function startServers(): Promise<Servers> {
  const [primary, replica] = await Promise.all([startRedis(), startRedis()]);
  await replica.command('REPLICAOF', '127.0.0.1', String(primary.port));
  const linked = async () => String(await replica.command('INFO', 'replication')).includes('link_status:up');
  await until(linked, 'the replica has caught up', 20_000);
  const relay = await startRelay(primary.port);
  return {
    primary,
    replica,
    relay,
    async close() {
      relay.close();
      await Promise.all([primary.close(), replica.close()]);
    },
  };
}

/** An address whose new connections lead to a port that can be changed. Connections that are open stay where they are. */
export interface Relay {
  readonly url: string;
  leadTo(port: number): void;
  close(): void;
}

async function startRelay(firstPort: number): Promise<Relay> {
  let port = firstPort;
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const target = net.connect(port, '127.0.0.1');
    const pair = [
      [client, target],
      [target, client],
    ] as const;
    for (const [socket, other] of pair) {
      sockets.add(socket);
      socket.pipe(other);
      socket.on('error', () => {}); // 'close' follows
      socket.once('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    leadTo(next) {
      port = next;
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
