import { spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** True when a gateway can be given a hosts file and a name server of its own: mount namespaces need Linux and root. */
export const namespacesAvailable =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  spawnSync('unshare', ['-m', 'mount', '--bind', '/etc/hosts', '/etc/hosts'], { stdio: 'ignore' }).status ===
    0;

/** A name server on a loopback address of its own. */
export interface NameServer {
  /** The words before a command that make this its only name server, see `through` in gateway.ts. */
  readonly through: string[];
  /** Number of queries for this name so far. */
  queries(name: string): number;
}

interface Names {
  /** The IPv4 addresses of the names that the server answers. Queries for all other names are never answered. */
  answers: Record<string, string[]>;
  /** The addresses of the names in the hosts file. */
  hosts?: Record<string, string>;
}

const open = new Set<() => void>();

afterAll(() => {
  for (const close of open) close();
});

/** Starts a name server that answers at once or never. */
export async function startNameServer({ answers, hosts = {} }: Names): Promise<NameServer> {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (query, { address, port }) => {
    const { name, type, end } = readQuestion(query);
    asked.push(name);
    const found = answers[name];
    if (found) socket.send(response(query.subarray(0, end), type === typeA ? found : []), port, address);
  });
  const address = await bind(socket);

  const folder = mkdtempSync(join(tmpdir(), 'gateway-contract-names-'));
  const hostLines = Object.entries({ localhost: '127.0.0.1', ...hosts }).map(
    ([name, ip]) => `${ip} ${name}\n`,
  );
  const files: Record<string, string> = {
    hosts: hostLines.join(''),
    'resolv.conf': `nameserver ${address}\n`,
    'nsswitch.conf': 'hosts: files dns\n',
  };
  const mounts: string[] = [];
  for (const [file, text] of Object.entries(files)) {
    writeFileSync(join(folder, file), text);
    if (existsSync(`/etc/${file}`)) mounts.push(`mount --bind "$0/${file}" /etc/${file}`);
  }
  open.add(() => {
    socket.close();
    rmSync(folder, { recursive: true });
  });
  return {
    through: ['unshare', '-m', 'sh', '-c', [...mounts, 'exec "$@"'].join(' && '), folder],
    queries: (name) => asked.filter((it) => it === name).length,
  };
}

/** Binds port 53 of a random loopback address, because parallel test files need different ones. */
async function bind(socket: Socket): Promise<string> {
  const byte = () => 1 + Math.floor(Math.random() * 254);
  const address = `127.53.${byte()}.${byte()}`;
  socket.bind(53, address);
  await once(socket, 'listening');
  return address;
}

const typeA = 1;
const headerBytes = 12;

/** Reads the question of a query (RFC 1035 4.1.2); `end` is where it ends. */
function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = headerBytes;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** The response to a query that ends with its question: these addresses, in this order. */
function response(query: Buffer, addresses: string[]): Buffer {
  const header = Buffer.from(query.subarray(0, headerBytes));
  header.writeUInt16BE(0x8180, 2); // a response without an error
  header.writeUInt16BE(addresses.length, 6);
  header.writeUInt32BE(0, 8);
  const records = addresses.map((address) => {
    const record = Buffer.alloc(16);
    record.writeUInt16BE(0xc00c, 0); // the name of the question
    record.writeUInt16BE(typeA, 2);
    record.writeUInt16BE(1, 4); // the class Internet
    record.writeUInt16BE(4, 10); // bytes of the address
    record.set(address.split('.').map(Number), 12);
    return record;
  });
  return Buffer.concat([header, query.subarray(headerBytes), ...records]);
}
