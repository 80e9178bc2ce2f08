import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './ports.ts';
import { collectText, startProgram } from './program.ts';
import { type RedisServer, startRedis } from './redis-process.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** A node of a Redis Cluster. */
export interface ClusterNode extends RedisServer {
  /** The port of the cluster bus, on which the nodes speak to each other. */
  readonly busPort: number;
}

/** A Redis Cluster on loopback. */
export interface RedisCluster {
  /** All nodes, the primaries of the beginning first. */
  readonly nodes: ClusterNode[];
  /** The REDIS_URL with all nodes. */
  readonly url: string;
  /** The primary that holds this slot now, by the map of the first node that answers. */
  primaryOf(slot: number): Promise<ClusterNode>;
  /** The replica of the primary that holds this slot now. */
  replicaOf(slot: number): Promise<ClusterNode>;
  /** Runs `redis-cli --cluster` with these words, and returns what it printed. Throws if it fails. */
  manage(...words: string[]): Promise<string>;
  close(): Promise<void>;
}

const cliMs = 60_000;
const agreementMs = 20_000;
const pollMs = 20;

/** Starts a Redis with a cluster bus, without slots and without other nodes. */
export async function startClusterNode(...options: string[]): Promise<ClusterNode> {
  const folder = temporaryFolder('gateway-cluster-');
  const busPort = await freePort();
  const bus = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort), '--dir', folder];
  return { ...(await startRedis(...bus, ...options)), busPort };
}

/**
 * Makes a cluster with `redis-cli --cluster create`. A shard whose primary does not answer for about `nodeTimeoutMs` is
 * taken over by its replica. The other shards serve their slots meanwhile.
 */
export async function startCluster({
  shards = 3,
  replicas = 1,
  nodeTimeoutMs = 1_000,
  options = [] as string[],
} = {}): Promise<RedisCluster> {
  const own = ['--cluster-node-timeout', String(nodeTimeoutMs), '--cluster-require-full-coverage', 'no'];
  const nodes = await Promise.all(
    Array.from({ length: shards * (1 + replicas) }, () => startClusterNode(...own, ...options)),
  );
  const addresses = nodes.map(({ port, busPort }) => `127.0.0.1:${port}@${busPort}`);
  await manage(['create', ...addresses, '--cluster-replicas', String(replicas), '--cluster-yes']);
  await agree(nodes, shards, replicas);

  const nodesOf = async (slot: number) => {
    const range = (await mapOf(nodes)).find(([first, last]) => first <= slot && slot <= last);
    const [, , ...ports] = range ?? [];
    return ports.map((port) => nodes.find((node) => node.port === port) as ClusterNode);
  };
  return {
    nodes,
    url: nodes.map(({ url }) => url).join(','),
    primaryOf: async (slot) => (await nodesOf(slot))[0] as ClusterNode,
    replicaOf: async (slot) => (await nodesOf(slot))[1] as ClusterNode,
    manage: (...words) => manage(words),
    close: async () => void (await Promise.all(nodes.map((node) => node.close()))),
  };
}

/** Waits until every node knows all the others and all slots, and every replica has the data of its primary. */
async function agree(nodes: ClusterNode[], shards: number, replicas: number): Promise<void> {
  const end = Date.now() + agreementMs;
  const agrees = async (node: ClusterNode) => {
    const info = String(await node.command('CLUSTER', 'INFO'));
    const known = new Set((await mapOf([node])).flatMap(([, , ...ports]) => ports));
    const replication = String(await node.command('INFO', 'replication'));
    const isLinked = !replication.includes('role:slave') || replication.includes('master_link_status:up');
    return info.includes('cluster_state:ok') && known.size === shards * (1 + replicas) && isLinked;
  };
  for (const node of nodes) {
    while (!(await agrees(node))) {
      if (Date.now() > end) throw new Error(`The cluster has not formed within ${agreementMs} ms.`);
      await sleep(pollMs);
    }
  }
}

/** The ranges of slots with the ports of their nodes, the primary first. */
async function mapOf(
  nodes: ClusterNode[],
): Promise<Array<[first: number, last: number, ...ports: number[]]>> {
  const [node, ...others] = nodes;
  if (!node) throw new Error('No node of the cluster answers.');
  const late = sleep(1_000).then(() => null);
  const reply = await Promise.race([node.command('CLUSTER', 'SLOTS').catch(() => null), late]);
  if (!Array.isArray(reply)) return mapOf(others);
  return reply.map(([first, last, ...owners]) => [
    first,
    last,
    ...owners.map(([, port]: [string, number]) => port),
  ]);
}

async function manage(words: string[]): Promise<string> {
  const cli = startProgram(['redis-cli', '--cluster', ...words]);
  const [stdout, stderr] = [collectText(cli.child.stdout), collectText(cli.child.stderr)];
  const { code } = await cli.endsWithin(cliMs);
  if (code !== 0) throw new Error(`redis-cli --cluster ${words[0]} failed:\n${stdout()}${stderr()}`);
  return stdout();
}
