import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgsStringToArgv } from 'string-argv';
import { afterAll } from 'vitest';
import { freePort } from '../../shared/process/ports.ts';
import { becomesReady, endEveryProgram } from '../../shared/process/program.ts';
import { compose } from './compose-file.ts';
import { startProcess, type TestProcess } from './processes.ts';

const readyMs = 20_000;
const password = 'secret1';
// The words of docker-compose.yml, without the address of the container.
const options = parseArgsStringToArgv(compose.services['redis-1']?.command?.at(-1) ?? '')
  .slice(2)
  .filter((word) => word !== '--cluster-announce-ip' && !word.startsWith('$'));

const folder = mkdtempSync(join(tmpdir(), 'gateway-nodes-'));
afterAll(async () => {
  // A node that runs writes its nodes.conf.
  await endEveryProgram();
  rmSync(folder, { recursive: true, force: true });
});

/** A redis-server with the options of a node of docker-compose.yml, and a password. */
export class RedisNode {
  readonly #folder = mkdtempSync(join(folder, 'node-'));
  readonly #port: number;
  #running: TestProcess | undefined;
  #address = '';

  constructor(port: number) {
    this.#port = port;
  }

  /** host:port */
  get at(): string {
    return `${this.#address}:${this.#port}`;
  }

  /** Starts it with an address that it has not had before. Needs Linux, where every 127.x.y.z is this machine. */
  async start(): Promise<void> {
    this.#address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
    mkdirSync(this.#folder, { recursive: true });
    const network = ['--bind', this.#address, '--port', String(this.#port)];
    const cluster = ['--cluster-announce-ip', this.#address, '--dir', this.#folder];
    const keys = ['--requirepass', password, '--masterauth', password];
    this.#running = startProcess(['redis-server', ...options, ...network, ...cluster, ...keys]);
    const answers = async () => (await this.ask('ping')) === 'PONG';
    if (!(await becomesReady(this.#running, answers, readyMs))) throw new Error(this.#running.output());
  }

  /** SIGKILL. */
  async stop(): Promise<void> {
    this.#running?.child.kill('SIGKILL');
    await this.#running?.ended;
  }

  /** Loses nodes.conf, while it is stopped. */
  loseDisk(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /** What redis-cli prints, or '' when the node does not answer. */
  ask(...words: string[]): Promise<string> {
    const args = ['-h', this.#address, '-p', String(this.#port), ...words];
    return new Promise((resolve) => {
      execFile('redis-cli', args, { env: { ...process.env, REDISCLI_AUTH: password } }, (_error, stdout) =>
        resolve(stdout.trim()),
      );
    });
  }

  /** The roles and slots of all nodes as this one knows them, by the ids of the nodes. */
  async view(): Promise<Map<string, NodeView>> {
    const lines = (await this.ask('cluster', 'nodes')).split('\n');
    return new Map(
      lines.map((line) => {
        const [id = '', address = '', flags = '', primary = '', , , , , ...slots] = line.split(' ');
        return [id, { at: address.replace(/@.*/, ''), flags: flags.replace('myself,', ''), primary, slots }];
      }),
    );
  }
}

/** One line of CLUSTER NODES. */
export interface NodeView {
  at: string;
  flags: string;
  /** The id of the primary of a replica, or `-`. */
  primary: string;
  slots: string[];
}

/** Starts six nodes that do not know each other, on one port. */
export async function startNodes(): Promise<RedisNode[]> {
  const port = await freePort();
  const nodes = Array.from({ length: 6 }, () => new RedisNode(port));
  await Promise.all(nodes.map((node) => node.start()));
  return nodes;
}

/** The REDIS_URL of a gateway: the nodes at their present addresses. */
export function urlOf(nodes: RedisNode[]): string {
  return nodes.map(({ at }) => `redis://:${password}@${at}`).join();
}

/** Runs make-cluster.sh. Returns its exit code and its output. */
export function makeCluster(
  nodes: RedisNode[],
  tries = 30,
): Promise<{ code: number | null; output: string }> {
  const script = 'shared/stack/kubernetes/overlays/redis-cluster/make-cluster.sh';
  const env = { REDISCLI_AUTH: password, TRIES: String(tries) };
  const running = startProcess(['sh', script, ...nodes.map(({ at }) => at)], env);
  return running.ended.then((code) => ({ code, output: running.output() }));
}
