import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Request } from './messages.ts';
import { framingOf, type Head, NotHttp, readBody, readHead, valuesOf } from './readers.ts';

/** What a service has seen of one request. */
export interface SeenRequest {
  request: Request;
  times: number;
  /** The connection of its client has ended before it, so it must not come any more. */
  isTooLate: boolean;
}

/** Bytes on a connection of a service. */
export interface Traffic {
  connection: number;
  from: 'gateway' | 'service';
  bytes: string;
}

// The gateway may still send requests of a client that has left.
const casesKnown = 20;

/** A service on a port of its own. It answers each request with the bytes that its case has planned. */
export class Service {
  readonly #server: net.Server;
  readonly #sockets = new Set<Socket>();
  /** The requests of the latest cases, by id. */
  readonly #known = new Map<string, SeenRequest>();
  /** What the gateway did wrong. */
  readonly faults: string[] = [];
  /** The bytes on all connections, in order, for the report. */
  readonly traffic: Traffic[] = [];
  /** Connections on which no request is in flight, with their numbers. */
  readonly #idle = new Map<Socket, number>();
  readonly #cases: Request[][] = [];
  #connections = 0;

  constructor() {
    this.#server = net.createServer({ noDelay: true }, (socket) => this.#serve(socket, this.#connections++));
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.disconnect();
    await closed;
  }

  /** Closes all connections. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Begins a case with these requests. */
  expect(requests: Request[]): void {
    this.#cases.push(requests);
    if (this.#cases.length > casesKnown)
      for (const { id } of this.#cases.shift() ?? []) this.#known.delete(id);
    for (const request of requests) this.#known.set(request.id, { request, times: 0, isTooLate: false });
    this.traffic.length = 0;
  }

  seen(id: string): SeenRequest {
    return this.#known.get(id) as SeenRequest;
  }

  /** Sends bytes on an idle connection, if there is one. */
  sendIdle(bytes: string): boolean {
    const [idle] = this.#idle;
    if (!idle) return false;
    const [socket, connection] = idle;
    this.traffic.push({ connection, from: 'service', bytes });
    socket.write(bytes, 'latin1');
    return true;
  }

  #serve(socket: Socket, connection: number): void {
    this.#sockets.add(socket);
    let text = '';
    let current: { head: Head; seen: SeenRequest } | undefined;
    let answered: Promise<void> | undefined;
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#idle.delete(socket);
    });
    const read = () => {
      while (text !== '') {
        if (!current) {
          const head = readHead(text, 0);
          if (!head) return;
          current = { head, seen: this.#begin(head) };
          if (current.seen.request.reply.early)
            answered = this.#answer(socket, connection, current.seen.request);
        }
        const { head, seen } = current;
        const body = readBody(text, head.end, framingOf(head) ?? 0);
        // The data of broken chunks may be forwarded up to where they break.
        const isBroken = seen.request.fate === 'broken';
        if (!isBroken && !seen.request.body.startsWith(body.text))
          throw new NotHttp('another body than the client sent');
        if (!body.isComplete) return;
        if (isBroken || seen.request.fate === 'unfinished' || body.text !== seen.request.body)
          throw new NotHttp(`a broken body of request ${seen.request.id} as a whole one`);
        text = text.slice(body.end);
        current = undefined;
        if (answered) answered = undefined;
        else void this.#answer(socket, connection, seen.request);
      }
    };
    socket.on('data', (chunk: string) => {
      this.traffic.push({ connection, from: 'gateway', bytes: chunk });
      this.#idle.delete(socket);
      text += chunk;
      try {
        read();
      } catch (error) {
        if (!(error instanceof NotHttp)) throw error;
        this.faults.push(`A service got ${error.message}.`);
        socket.destroy();
      }
    });
  }

  #begin(head: Head): SeenRequest {
    const [, method, target = ''] = /^(\S+) (\S+) HTTP\/1\.1$/.exec(head.start) ?? [];
    const seen = this.#known.get(/^\/([^/?]+)/.exec(target)?.[1] ?? '');
    if (!seen) throw new NotHttp(`a request that no client sent: ${JSON.stringify(head.start)}`);
    const { request } = seen;
    if (request.fate === 'refused') throw new NotHttp(`request ${request.id}, which must be refused`);
    if (method !== request.method || target !== request.target)
      throw new NotHttp(`another request line than the client sent: ${JSON.stringify(head.start)}`);
    if (seen.isTooLate) throw new NotHttp(`request ${request.id} after the end of its connection`);
    if (++seen.times > 1) throw new NotHttp(`request ${request.id} twice`);
    if (valuesOf(head, 'host').length !== 1) throw new NotHttp('not exactly one Host');
    const misread = head.fields.find(([name]) => /^(?:content|transfer)_/.test(name));
    if (misread) throw new NotHttp(`a field ${misread[0]}`);
    return seen;
  }

  async #answer(socket: Socket, connection: number, { reply }: Request): Promise<void> {
    for (const [i, bytes] of reply.writes.entries()) {
      if (i > 0) await nextTurn();
      if (socket.destroyed) return;
      this.traffic.push({ connection, from: 'service', bytes });
      socket.write(bytes, 'latin1');
    }
    if (reply.ends) socket.end();
    else this.#idle.set(socket, connection);
  }
}
