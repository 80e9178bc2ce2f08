import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { aroundEach, type RunnerTask, type TestContext } from 'vitest';
import type { Evidence, Exchange, ObservedGateway } from '../../process/evidence.ts';
import { gatewayStarted, type StartedGateway } from '../../process/gateway-started.ts';
import { holdOn } from './hold.ts';

// A setup file of vitest, used only by npm run verify. Node's diagnostics channel `net.client.socket` reports every
// connection, and the harness reports every gateway that it starts. The bytes that a failed test has sent and received are
// stored in its `meta`.

const bytesKept = 4_096;
const exchangesKept = 40;
const exitDelayMs = 50;
// Some programs print the error first, others last: both ends of a long output are kept.
const complaintsKept = 4_000;

/** The records of one test. */
interface Notes {
  exchanges: Exchange[];
  /** The state of each gateway when the test began: the lengths of its output, and whether it had failed. */
  before: Map<Watched, { stdout: number; stderr: number; dead: boolean }>;
}

interface Watched extends StartedGateway {
  startedBy: Notes | undefined;
  exit: ObservedGateway['exit'];
}

const running = new AsyncLocalStorage<Notes>();
const gateways: Watched[] = [];

subscribe(gatewayStarted.name, (message) => {
  // Not a copy: the harness changes it when the gateway is ready.
  const gateway: Watched = Object.assign(message as StartedGateway, {
    startedBy: running.getStore(),
    exit: undefined,
  });
  gateways.push(gateway);
  gateway.child.once('exit', (code, signal) => {
    gateway.exit = { code, signal };
  });
});

subscribe('net.client.socket', (message) => watch((message as { socket: Socket }).socket));

aroundEach(watchTest, Number.POSITIVE_INFINITY);

async function watchTest(runTest: () => Promise<void>, { task }: TestContext): Promise<void> {
  const states = gateways.map((gateway) => {
    const { exit, stdout, stderr } = gateway;
    return [
      gateway,
      { stdout: stdout().length, stderr: stderr().length, dead: exit !== undefined && hasDied(gateway) },
    ] as const;
  });
  const notes: Notes = { exchanges: [], before: new Map(states) };
  await running.run(notes, runTest);
  if (task.result?.state !== 'fail') return;
  // The exit event of a process may come shortly after the end of its connections.
  if (gateways.some(({ exit }) => exit === undefined)) await sleep(exitDelayMs);
  task.meta.evidence = evidenceOf(notes);
  const { HOLD_FOLDER: folder } = process.env;
  if (folder)
    await holdOn(folder, {
      name: fullName(task),
      file: task.file.name,
      errors: task.result.errors,
      evidence: task.meta.evidence,
    });
}

/** Records the bytes of a socket. A connection may outlive a test, so each request belongs to the test that sends it. */
function watch(socket: Socket): void {
  let notes: Notes | undefined;
  let exchange: Exchange | undefined;

  const begin = () => {
    exchange = { port: 0, sent: '', sentBytes: 0, received: '', receivedBytes: 0, end: 'open' };
    exchange.port = socket.remotePort ?? 0;
    notes?.exchanges.push(exchange);
    if ((notes?.exchanges.length ?? 0) > 2 * exchangesKept) notes?.exchanges.splice(0, exchangesKept);
  };
  const note = (chunk: unknown, encoding: BufferEncoding) => {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : (chunk as Buffer);
    const now = running.getStore() ?? notes;
    const isNext = (exchange?.receivedBytes ?? 0) > 0 && isRequest(bytes);
    if (!exchange || now !== notes || isNext) {
      notes = now;
      begin();
    }
    if (!exchange) return;
    exchange.sent += kept(bytes, exchange.sentBytes);
    exchange.sentBytes += bytes.length;
  };
  // The hooks are on _write and _writev, because connect() resets write().
  const [write, writev] = [socket._write.bind(socket), socket._writev?.bind(socket)];
  socket._write = (chunk, encoding, done) => {
    note(chunk, encoding);
    write(chunk, encoding, done);
  };
  socket._writev = (chunks, done) => {
    for (const { chunk, encoding } of chunks) note(chunk, encoding);
    writev?.(chunks, done);
  };
  // Not a 'data' listener: it would start the flow of the stream, and some tests need it paused.
  const push = socket.push.bind(socket);
  socket.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (exchange && Buffer.isBuffer(chunk)) {
      exchange.received += kept(chunk, exchange.receivedBytes);
      exchange.receivedBytes += chunk.length;
    }
    return push(chunk, encoding);
  };
  socket.once('connect', () => {
    if (exchange) exchange.port = socket.remotePort ?? 0;
  });
  socket.once('close', () => {
    if (!exchange) return;
    const { code, port } = (socket.errored ?? {}) as { code?: string; port?: number };
    exchange.port ||= port ?? 0;
    exchange.end = code ?? (socket.readableEnded ? 'closed by the gateway' : 'closed by the test');
  });
}

function evidenceOf(notes: Notes): Evidence {
  const { exchanges } = notes;
  return {
    exchanges: exchanges
      .filter((exchange, i) => !isRedis(exchange) && !isStartPoll(exchanges, i))
      .slice(-exchangesKept),
    // Tests may run at the same time: gateways that another test has started are left out.
    gateways: gateways.filter(({ startedBy }) => startedBy === undefined || startedBy === notes).map(observe),
  };

  function observe(gateway: Watched): ObservedGateway {
    const { command, env, config, exit, startedBy } = gateway;
    const { stdout, stderr, dead } = notes.before.get(gateway) ?? { stdout: 0, stderr: 0, dead: false };
    // The last words of a gateway that was dead already were said before the test.
    const said = dead
      ? [gateway.stderr(), errorsIn(gateway.stdout())]
      : [gateway.stderr().slice(stderr), errorsIn(gateway.stdout().slice(stdout))];
    const complaints = bothEnds(said.filter(Boolean).join('\n'));
    return {
      command,
      env,
      config,
      ownStart: startedBy === notes,
      exit,
      died: hasDied(gateway),
      asked: gateway.child.killed,
      deadBefore: dead,
      complaints,
    };
  }
}

/** True for a gateway that was ready and has ended unasked. With an error it may have died of the signal to stop. */
function hasDied({ wasReady, exit, child, stderr }: Watched): boolean {
  if (!wasReady || exit === undefined) return false;
  return !child.killed || (Boolean(exit.code) && stderr().trim() !== '');
}

function bothEnds(text: string): string {
  const half = complaintsKept / 2;
  return text.length > complaintsKept ? `${text.slice(0, half)}\n…\n${text.slice(-half)}` : text;
}

/** True for requests with which the harness waits for a gateway to be ready. They are not part of the test. */
function isStartPoll(exchanges: Exchange[], index: number): boolean {
  const isHealth = ({ sent }: Exchange) => sent.startsWith('GET /health HTTP/1.1\r\n');
  const exchange = exchanges[index] as Exchange;
  const own = gateways.some((it) => it.startedBy && it.env.PORT === String(exchange.port));
  if (!isHealth(exchange)) return false;
  if (exchange.end === 'ECONNREFUSED') return true;
  const first = exchanges.find((it) => it.port === exchange.port && isHealth(it) && it.received !== '');
  return own && exchange === first;
}

function isRedis({ sent }: Exchange): boolean {
  return sent.startsWith('*') || sent.startsWith('MONITOR');
}

function isRequest(bytes: Buffer): boolean {
  return /^[!-~]+ \S.* HTTP\/\d/.test(bytes.toString('latin1', 0, 20_000));
}

/** The lines of a log that are errors or not JSON. */
function errorsIn(log: string): string {
  const isError = (line: string) => {
    try {
      return Number(JSON.parse(line).level) >= 50;
    } catch {
      return line.trim() !== '';
    }
  };
  return log
    .slice(0, log.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(isError)
    .join('\n');
}

function kept(bytes: Buffer, before: number): string {
  return bytes.toString('latin1', 0, Math.max(0, bytesKept - before));
}

function fullName(task: RunnerTask): string {
  return task.suite ? `${fullName(task.suite)} > ${task.name}` : task.name;
}
