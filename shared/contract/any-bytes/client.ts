import net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { cut, type Request } from './messages.ts';
import type { SequencePlan } from './plans.ts';
import { NotHttp, readAnswer } from './readers.ts';

/** What one client got on its connection. */
export interface Talk {
  text: string;
  /** Who ended the connection; `timeout`: it was still open when the time was over. */
  endedBy: 'gateway' | 'client' | 'timeout';
  /** The gateway reset the connection. Then answers that were on their way may be lost. */
  wasReset: boolean;
}

// A gateway that waits for the rest of a broken request sends nothing for this long.
const waitingMs = 250;
const longestMs = 15_000;

/** Writes the requests of one connection in pieces, and reads until every answer is there or the connection ends. */
export function talk(
  { host, port }: { host: string; port: number },
  requests: Request[],
  { sizes, departure }: SequencePlan,
): Promise<Talk> {
  return new Promise((resolve) => {
    const talked: Talk = { text: '', endedBy: 'timeout', wasReset: false };
    const firstToWait = requests.findIndex((request) => request.mayWait);
    let written = false;
    let waiting: NodeJS.Timeout | undefined;
    const socket = net.connect({ port, host, noDelay: true });
    const limit = setTimeout(() => socket.destroy(), longestMs);

    const check = () => {
      clearTimeout(waiting);
      if (!written || talked.endedBy === 'client') return;
      const next = firstWithoutAnswer(talked.text, requests);
      if (!next) {
        // A gateway that must close the connection is given the time to do so.
        if (requests.at(-1)?.closes === true) return;
        talked.endedBy = 'client';
        socket.destroy();
      } else if (next.fate === 'unfinished') {
        talked.endedBy = 'client';
        socket.end();
      } else if (firstToWait !== -1 && requests.indexOf(next) >= firstToWait) {
        waiting = setTimeout(() => {
          talked.endedBy = 'client';
          socket.end();
        }, waitingMs);
      }
    };

    socket.on('connect', async () => {
      for (const [i, bytes] of cut(requests.map(({ bytes }) => bytes).join(''), sizes).entries()) {
        if (i > 0) await nextTurn();
        if (socket.destroyed) return;
        socket.write(bytes, 'latin1');
      }
      written = true;
      if (departure !== 'leaves') return check();
      talked.endedBy = 'client';
      socket.destroy();
    });
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      talked.text += chunk;
      check();
    });
    socket.on('end', () => {
      if (talked.endedBy === 'timeout') talked.endedBy = 'gateway';
    });
    socket.on('error', () => {
      if (talked.endedBy === 'timeout') talked.endedBy = 'gateway';
      talked.wasReset = true;
    });
    socket.on('close', () => {
      clearTimeout(limit);
      clearTimeout(waiting);
      resolve(talked);
    });
  });
}

/** The first request whose answer is not complete. */
function firstWithoutAnswer(text: string, requests: Request[]): Request | undefined {
  let at = 0;
  try {
    for (const request of requests) {
      const answer = readAnswer(text, at, request.method);
      if (!answer?.isComplete) return request;
      at = answer.end;
    }
  } catch (error) {
    if (!(error instanceof NotHttp)) throw error;
    return requests.at(-1);
  }
  return undefined;
}
