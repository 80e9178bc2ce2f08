import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import { type Program, startProgram } from './program.ts';
import { type RedisServer, redisCommand, startRedis } from './redis-process.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { until } from './until.ts';

/** A primary with replicas, and Sentinels that watch it. */
export interface WatchedRedis {
  readonly servers: RedisServer[];
  /** The REDIS_URL with all Sentinels. */
  readonly url: string;
  /** The server that the Sentinels call the primary. */
  primary(): Promise<RedisServer>;
  /** Makes the Sentinels choose another primary although this one is well. */
  failover(): Promise<void>;
  /** Kills a Sentinel, by its position in `url`. */
  killSentinel(position: number): Promise<void>;
  close(): Promise<void>;
}

const name = 'counters';
const readyMs = 20_000;
const killMs = 5_000;

/** Starts a primary with two replicas and three Sentinels, which replace a primary that is silent for `downAfterMs`. */
export async function startWatchedRedis({ downAfterMs = 500 } = {}): Promise<WatchedRedis> {
  const first = await startRedis();
  const replicaOf = ['--replicaof', `127.0.0.1 ${first.port}`];
  const servers = [first, ...(await Promise.all([startRedis(...replicaOf), startRedis(...replicaOf)]))];
  const isLinked = async ({ command }: RedisServer) =>
    String(await command('INFO', 'replication')).includes('master_link_status:up');
  for (const replica of servers.slice(1)) {
    await until(() => isLinked(replica), 'the replica has the data of its primary', readyMs);
  }
  const ports = [await freePort(), await freePort(), await freePort()];
  const sentinels = ports.map((port) => startSentinel(port, first.port, downAfterMs));
  const [asked = 0] = ports;
  const agree = async () => {
    const ok = await redisCommand(asked, ['SENTINEL', 'CKQUORUM', name]).catch(() => '');
    const replicas = await redisCommand(asked, ['SENTINEL', 'REPLICAS', name]).catch(() => []);
    return String(ok).startsWith('OK 3') && (replicas as unknown[]).length === 2;
  };
  await until(agree, 'the Sentinels know each other and the replicas', readyMs);

  const livingPort = () => ports[sentinels.findIndex((sentinel) => !sentinel.hasEnded())] as number;
  return {
    servers,
    url: `redis-sentinel://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/0#${name}`,
    async primary() {
      const [, port] = (await redisCommand(livingPort(), [
        'SENTINEL',
        'GET-MASTER-ADDR-BY-NAME',
        name,
      ])) as string[];
      return servers.find((server) => server.port === Number(port)) as RedisServer;
    },
    failover: async () => void (await redisCommand(livingPort(), ['SENTINEL', 'FAILOVER', name])),
    killSentinel: async (position) => void (await sentinels[position]?.stop(killMs, 'SIGKILL')),
    async close() {
      await Promise.all(sentinels.map((sentinel) => sentinel.stop(killMs, 'SIGKILL')));
      await Promise.all(servers.map((server) => server.close()));
    },
  };
}

function startSentinel(port: number, primaryPort: number, downAfterMs: number): Program {
  // A Sentinel writes what it learns into its file.
  const folder = temporaryFolder('gateway-sentinel-');
  const file = join(folder, 'sentinel.conf');
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor ${name} 127.0.0.1 ${primaryPort} 2`,
    `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
    `sentinel failover-timeout ${name} 3000`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return startProgram(['redis-server', file, '--sentinel'], { stdio: 'ignore' });
}
