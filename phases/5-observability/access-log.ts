import type { Logger } from 'pino';
import type { Observer } from './observe.ts';

/** Observer: logs one line per request. The path is logged without the query, where secrets travel. */
export function accessLog(log: Logger): Observer {
  if (!log.isLevelEnabled('info')) return { end() {} };
  return {
    end(exchange) {
      const { id, traceId, method, url, route, service, client, status, source, bytesOut } = exchange;
      log.info(
        {
          id,
          traceId,
          method,
          path: url === null ? null : url.split('?', 1)[0],
          route,
          service,
          client,
          status,
          source,
          refusedBy: exchange.problem?.stage,
          durationMs: rounded(exchange.durationMs),
          upstreamMs: exchange.upstreamMs === null ? null : rounded(exchange.upstreamMs),
          bytesOut,
        },
        'request',
      );
    },
  };
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
