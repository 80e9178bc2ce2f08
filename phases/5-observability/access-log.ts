import type { Logger } from 'pino';
import type { Observer } from './exchange.ts';

/** Observer: logs one line per request, or nothing when the level of `log` is above info. */
export function accessLog(log: Logger): Observer[] {
  if (!log.isLevelEnabled('info')) return [];
  const observer: Observer = {
    end(exchange) {
      const { method, url, upstreamMs } = exchange;
      log.info(
        {
          id: exchange.id,
          method,
          path: url && pathOf(url),
          route: exchange.route?.prefix ?? null,
          service: exchange.route?.service ?? null,
          client: exchange.client?.id ?? null,
          status: exchange.status,
          source: exchange.source,
          durationMs: round(exchange.durationMs),
          upstreamMs: upstreamMs === null ? null : round(upstreamMs),
          bytesOut: exchange.bytesOut,
          limit: exchange.decision ?? undefined,
          refusedBy: exchange.problem?.stage,
        },
        'request',
      );
    },
  };
  return [observer];
}

/** The path without the query, which may contain secrets. */
function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
