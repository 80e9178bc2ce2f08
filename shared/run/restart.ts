import { constants } from 'node:os';
import type { GatewayProcess } from '../process/gateway-process.ts';

const keptLines = 40;

/**
 * Starts a gateway, and starts it again whenever it ends after it was ready; `say` gets what killed it. `start` passes
 * the lines of its stderr to the function that it gets. The result ends when a start fails, or after stop() and kill().
 */
export function restartAfterCrash(
  start: (onError: (line: string) => void) => GatewayProcess,
  say: (text: string) => void,
): GatewayProcess {
  let lastWords: string[] = [];
  let isStopping = false;
  const startOne = () =>
    start((line) => {
      lastWords = [...lastWords, line].slice(-keptLines);
    });
  let current = startOne();
  const firstReady = current.ready();

  async function run(): Promise<number> {
    let ready = firstReady;
    for (;;) {
      const wasReady = await ready;
      const code = await current.ended;
      if (isStopping || !wasReady) return code;
      say(describeCrash(current.url, code, lastWords));
      lastWords = [];
      current = startOne();
      ready = current.ready();
    }
  }

  return {
    url: current.url,
    ended: run(),
    ready: () => firstReady,
    stop() {
      isStopping = true;
      return current.stop();
    },
    kill() {
      isStopping = true;
      current.kill();
    },
  };
}

/** What killed a gateway: the signal or the exit code, and the error among the last lines of its stderr. */
function describeCrash(url: string, code: number, lastWords: string[]): string {
  const signal = Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0];
  const how = signal === undefined ? `exit code ${code}` : `the signal ${signal}`;
  const error = lastWords.findLast((line) => /^(?:\w+: )?\w*(?:Error|Exception)\b/.test(line));
  const cause = error ?? lastWords.at(-1);
  return `
The gateway on ${url} ended with ${how}${cause === undefined ? '.' : `:\n\n  ${cause}\n`}
All its connections and requests were cut off. It is being started again.
`;
}
