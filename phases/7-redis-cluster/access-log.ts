import { getSystemErrorName } from 'node:util';
import type { Logger } from 'pino';
import type { Exchange, Observer } from './exchange.ts';
import { BAD_REQUEST } from './problem.ts';
import { TIMEOUT } from './upstream.ts';

/** Observer: logs one line per request, or nothing when the level of `log` is above info. */
export function accessLog(log: Logger): Observer[] {
  if (!log.isLevelEnabled('info')) return [];
  const observer: Observer = {
    end(exchange) {
      const { method, url, upstreamMs } = exchange;
      log.info(
        {
          id: exchange.id,
          traceId: exchange.trace?.id ?? null,
          spanId: exchange.trace?.spanId ?? undefined,
          method,
          path: url && pathOf(url),
          route: exchange.route?.prefix ?? null,
          service: exchange.route?.service ?? null,
          client: exchange.client?.id ?? null,
          address: exchange.sender.address,
          status: exchange.status,
          source: exchange.source,
          durationMs: round(exchange.durationMs),
          upstreamMs: upstreamMs === null ? null : round(upstreamMs),
          bytesOut: exchange.bytesOut,
          limit: exchange.decision ?? undefined,
          refusedBy: exchange.problem?.stage,
          error: codeOf(exchange),
        },
        'request',
      );
    },
  };
  return [observer];
}

/** The code of an error, such as ECONNREFUSED, or its name. Its message is not logged, because it may contain addresses. */
function codeOf({ failure, problem }: Exchange): string | undefined {
  if (failure === null || problem === TIMEOUT || problem === BAD_REQUEST) return undefined;
  const { code, errno = 0, name } = failure;
  return code ?? (errno < 0 ? getSystemErrorName(errno) : name); // a reset has no code: see connect.ts
}

/** The path without the query, which may contain secrets. */
function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
