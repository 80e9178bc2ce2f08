import { spawnSync } from 'node:child_process';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { freePort } from './ports.ts';
import { becomesReady, type Program, startProgram } from './program.ts';

/** A redis-server process. It is killed when this process exits. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** SIGKILL: connections break at once. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open, but no command is answered. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** Starts it again on the same port, without data. */
  restart(): Promise<void>;
  /** Runs one command on a new connection and returns the decoded reply. */
  command(...args: string[]): Promise<unknown>;
  close(): Promise<void>;
}

const readyMs = 10_000;
const killMs = 5_000;
const servers = new Set<Program>();

/** Kills every Redis that was started here and waits until all have ended. */
export async function endEveryRedis(): Promise<void> {
  await Promise.all([...servers].map(kill));
}

async function kill(server: Program): Promise<void> {
  await server.stop(killMs, 'SIGKILL');
}

/** Whether a redis-server binary is on PATH. */
export function isRedisOnPath(): boolean {
  return spawnSync('redis-server', ['--version'], { stdio: 'ignore', windowsHide: true }).status === 0;
}

/** Starts a redis-server without persistence on a free port of 127.0.0.1, with more options of its command line. */
export async function startRedis(...options: string[]): Promise<RedisServer> {
  const port = await freePort();
  let server = await launch(port, options);
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill: () => kill(server),
    freeze: () => void server.child.kill('SIGSTOP'),
    thaw: () => void server.child.kill('SIGCONT'),
    async restart() {
      await kill(server);
      server = await launch(port, options);
    },
    command: (...args) => redisCommand(port, args),
    close: () => kill(server),
  };
}

async function launch(port: number, more: string[]): Promise<Program> {
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  // A replica saves what it gets from its primary, and every Redis loads such a file at its start.
  const file = ['--dir', tmpdir(), '--dbfilename', `redis-${port}.rdb`, '--rdb-del-sync-files', 'yes'];
  const server = startProgram(['redis-server', ...options, ...file, ...more], { stdio: 'ignore' });
  servers.add(server);
  const forget = () => void servers.delete(server);
  server.ended.then(forget, forget);
  const answers = async () => (await redisCommand(port, ['PING'])) === 'PONG';
  if (await becomesReady(server, answers, readyMs)) return server;
  const what = server.hasEnded() ? 'ended at once' : `does not answer within ${readyMs} ms`;
  throw new Error(`redis-server on port ${port} ${what}.`);
}

/** Runs one command on a new connection to this port of 127.0.0.1, and returns the decoded reply. */
export function redisCommand(port: number, args: string[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = net.connect(port, '127.0.0.1', () => {
      const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`);
      socket.write(`*${args.length}\r\n${parts.join('')}`);
    });
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      const reply = decode(text, 0);
      if (!reply) return;
      socket.destroy();
      if (reply.value instanceof Error) reject(reply.value);
      else resolve(reply.value);
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`Redis closed the connection during ${args[0]}.`)));
  });
}

/** Decodes one RESP 2 reply; undefined while it is incomplete. */
function decode(text: string, from: number): { value: unknown; next: number } | undefined {
  const end = text.indexOf('\r\n', from);
  if (end < 0) return undefined;
  const line = text.slice(from + 1, end);
  let next = end + 2;
  switch (text[from]) {
    case '+':
      return { value: line, next };
    case '-':
      return { value: new Error(line), next };
    case ':':
      return { value: Number(line), next };
    case '$': {
      const length = Number(line);
      if (length < 0) return { value: null, next };
      if (text.length < next + length + 2) return undefined;
      const value = Buffer.from(text.slice(next, next + length), 'latin1').toString('utf8');
      return { value, next: next + length + 2 };
    }
    case '*': {
      const count = Number(line);
      if (count < 0) return { value: null, next };
      const value: unknown[] = [];
      for (let i = 0; i < count; i++) {
        const item = decode(text, next);
        if (!item) return undefined;
        value.push(item.value);
        next = item.next;
      }
      return { value, next };
    }
    default:
      throw new Error(`Redis sent an unknown reply: ${text.slice(from, from + 40)}`);
  }
}
