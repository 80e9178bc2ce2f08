import type { Socket } from 'node:net';
import { type buildConnector, Client, type Dispatcher, errors } from 'undici';

/**
 * The connection of one client of a pool. A service may close a kept connection while a request is on its way (RFC 9112
 * 9.5), for example at each of its deployments. That says nothing about its health.
 */
export class Connection {
  #socket: Socket | null = null;
  /** Calls on this socket, and the bytes that had been read from it when the last one began. */
  #calls = 0;
  #bytesRead = 0;

  opened(socket: Socket | null): void {
    this.#socket = socket;
    this.#calls = 0;
  }

  callBegins(): void {
    this.#calls += 1;
    this.#bytesRead = this.#socket?.bytesRead ?? 0;
  }

  /** True when the call failed because a connection that had carried another call before ended without one more byte. */
  isStale(error: Error): boolean {
    const hasEnded = error instanceof errors.SocketError || 'syscall' in error;
    return hasEnded && this.#calls > 1 && this.#socket?.bytesRead === this.#bytesRead;
  }
}

/** The options of a call. ReusingClient adds the connection that the call gets. */
export interface CallOptions extends Dispatcher.DispatchOptions {
  connection?: Connection;
}

/**
 * A client of a Pool, which has one connection at a time. It hands its connection on in the options, because the Pool
 * gives its clients handlers of the API before undici 7, which cannot be wrapped.
 */
export class ReusingClient extends Client {
  readonly #connection: Connection;

  constructor(origin: URL, options: Client.Options) {
    const connection = new Connection();
    const open = options.connect as buildConnector.connector;
    const connect: buildConnector.connector = (target, callback) =>
      open(target, (...result) => {
        connection.opened(result[1]);
        callback(...result);
      });
    super(origin, { ...options, connect });
    this.#connection = connection;
  }

  override dispatch(options: CallOptions, handler: Dispatcher.DispatchHandler): boolean {
    options.connection = this.#connection;
    return super.dispatch(options, handler);
  }
}
