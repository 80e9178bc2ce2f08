import { parseSamples, type Sample } from '../metrics/prometheus-text.ts';
import { CliError } from '../terminal/cli-error.ts';

/** A monotonic clock for the time between two scrapes, and the time of day. */
export interface Clock {
  monotonicMs(): number;
  unixSeconds(): number;
}

/** The metrics of one gateway, and the time of the scrape. */
export interface Scrape {
  readonly atMs: number;
  readonly atUnixSeconds: number;
  readonly samples: readonly Sample[];
}

/** The gateway cannot be reached at the moment. The message is one short reason. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

const timeoutMs = 2000;
const oneOfOurs = 'gateway_build_info';

/** Fetches the metrics. Throws Unreachable without a response, and a CliError when it is not that of a gateway. */
export async function scrape(url: string, clock: Clock, signal?: AbortSignal): Promise<Scrape> {
  const limit = AbortSignal.timeout(timeoutMs);
  let status: number;
  let text: string;
  try {
    const answer = await fetch(url, { signal: signal ? AbortSignal.any([signal, limit]) : limit });
    status = answer.status;
    text = await answer.text();
  } catch (error) {
    throw new Unreachable(reasonOf(error as Error));
  }
  const samples = parseSamples(text);
  if (status === 200 && samples.some(({ name }) => name === oneOfOurs)) {
    return { atMs: clock.monotonicMs(), atUnixSeconds: clock.unixSeconds(), samples };
  }
  const what = status === 200 ? 'has no metrics of a gateway' : `answers ${status}`;
  throw new CliError(
    `${url} ${what}. The metrics are on the admin listener of phase 5 or later, not on the public port:\n` +
      '  npm run dashboard -- http://127.0.0.1:9464/metrics',
  );
}

const reasons: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  ECONNRESET: 'the connection was closed',
  UND_ERR_SOCKET: 'the connection was closed',
};

function reasonOf(error: Error): string {
  if (error.name === 'TimeoutError') return `no answer within ${timeoutMs / 1000} s`;
  const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException;
  return reasons[code ?? ''] ?? message;
}
