import { CliError } from '../cli/cli-error.ts';
import { parseExposition, type Sample } from './exposition.ts';

/** What time it is: for what passed between two scrapes, and for the time of day. */
export interface Clock {
  monotonicMs(): number;
  unixSeconds(): number;
}

/** What one gateway said of itself, and when. */
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

/** Asks for the metrics. Unreachable when nobody answers, a CliError when what answers has none of a gateway. */
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
  const samples = parseExposition(text);
  if (status === 200 && samples.some(({ name }) => name === oneOfOurs)) {
    return { atMs: clock.monotonicMs(), atUnixSeconds: clock.unixSeconds(), samples };
  }
  const what = status === 200 ? 'has no metrics of a gateway' : `answers ${status}`;
  throw new CliError(
    `${url} ${what}. The metrics are on the admin listener of phase 5 or later, not on the port for callers:\n` +
      '  npm run dashboard -- http://127.0.0.1:9464/metrics',
  );
}

const reasons: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  ECONNRESET: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
};

function reasonOf(error: Error): string {
  if (error.name === 'TimeoutError') return `no answer within ${timeoutMs / 1000} s`;
  const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException;
  return reasons[code ?? ''] ?? message;
}
