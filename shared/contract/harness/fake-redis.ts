import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { afterAll } from 'vitest';

/** A command as the server received it: its name in lower case, then its arguments. */
export type Command = readonly [name: string, ...args: string[]];

/**
 * Decides the reply to a command: an error such as 'CLUSTERDOWN The cluster is down', null for none at all, or undefined
 * for the reply of a Redis that counts. The connections have numbers, beginning with 1.
 */
export type Behaviour = (command: Command, connection: number) => string | null | undefined;

/** A server that speaks RESP 2 and counts like Redis, as far as a rate limiter needs it. Windows never end. */
export interface FakeRedis {
  readonly url: string;
  readonly port: number;
  /** Sets the behaviour from now on, also for open connections. */
  behave(behaviour: Behaviour): void;
  /** Holds back all replies until `resume`. */
  pause(): void;
  resume(): void;
  /** How often the bucket was counted. */
  counted(bucket: string): number;
  /** The number of connections accepted so far. */
  connections(): number;
  /** Closes the open connections from the side of the server. */
  closeConnections(): void;
}

const open = new Set<() => Promise<void>>();

afterAll(async () => {
  await Promise.all([...open].map((close) => close()));
});

/** Starts the server on a free port of 127.0.0.1. Each reply is sent `delayMs` after its command. */
export async function startFakeRedis(delayMs = 0): Promise<FakeRedis> {
  const counters = new Map<string, number>();
  const sockets = new Set<Socket>();
  const held: Array<() => void> = [];
  let behaviour: Behaviour = () => undefined;
  let connections = 0;
  let paused = false;

  function count(bucket: string, windowMs: string): string {
    const requests = (counters.get(bucket) ?? 0) + 1;
    counters.set(bucket, requests);
    return `*2\r\n:${requests}\r\n:${windowMs}\r\n`;
  }

  /** EVAL and EVALSHA have the script, the number of keys, the key, and the length of the window. */
  function replyTo([name, ...args]: Command): string {
    if (name === 'eval' || name === 'evalsha') return count(args[2] ?? '', args[3] ?? '0');
    if (name === 'info') return '$11\r\nloading:0\r\n\r\n';
    if (name === 'cluster') return '-ERR This instance has cluster support disabled\r\n';
    return '+OK\r\n';
  }

  const server = net.createServer({ noDelay: true }, (socket) => {
    const connection = ++connections;
    sockets.add(socket);
    socket.on('error', () => {}); // 'close' follows
    socket.once('close', () => sockets.delete(socket));
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      for (let read = readCommand(text); read; read = readCommand(text)) {
        text = text.slice(read.end);
        const error = behaviour(read.command, connection);
        if (error === null) continue;
        const reply = error === undefined ? replyTo(read.command) : `-${error}\r\n`;
        const send = () => void (paused ? held.push(send) : socket.write(reply));
        if (delayMs > 0) setTimeout(send, delayMs);
        else send();
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const closeConnections = () => {
    for (const socket of sockets) socket.destroy();
  };
  open.add(async () => {
    server.close();
    closeConnections();
    await once(server, 'close');
  });

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    behave(next) {
      behaviour = next;
    },
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      for (const send of held.splice(0)) send();
    },
    counted: (bucket) => counters.get(bucket) ?? 0,
    connections: () => connections,
    closeConnections,
  };
}

/** Reads one command, an array of bulk strings; undefined while it is incomplete. */
function readCommand(text: string): { command: Command; end: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (!head) return undefined;
  const words: string[] = [];
  let at = head[0].length;
  for (let i = 0; i < Number(head[1]); i++) {
    const length = /^\$(\d+)\r\n/.exec(text.slice(at, at + 16));
    if (!length) return undefined;
    const begin = at + length[0].length;
    const end = begin + Number(length[1]);
    if (text.length < end + 2) return undefined;
    words.push(text.slice(begin, end));
    at = end + 2;
  }
  const [name = '', ...args] = words;
  return { command: [name.toLowerCase(), ...args], end: at };
}
