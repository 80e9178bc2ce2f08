import type { onRequestHookHandler } from 'fastify';
import type { Logger } from 'pino';

// nginx's number for a client that left before its answer was complete. It is logged, never sent.
const CLIENT_LEFT = 499;

/**
 * Observer: logs one line per request, when its last byte is out or its connection is gone. The path is
 * logged without the query, where secrets travel. `now` is a clock in ms.
 */
export function accessLog(log: Logger, now: () => number): onRequestHookHandler {
  if (!log.isLevelEnabled('info')) return (_request, _reply, done) => done();
  return (request, reply, done) => {
    const begun = now();
    // Not onResponse: Fastify does not call it when the client leaves early.
    reply.raw.once('close', () => {
      const answered = reply.raw.writableFinished || request.problem !== null;
      log.info(
        {
          method: request.method,
          path: request.url.split('?', 1)[0],
          route: request.route?.prefix ?? null,
          service: request.route?.service ?? null,
          client: request.client?.id ?? null,
          status: answered ? reply.raw.statusCode : CLIENT_LEFT,
          durationMs: Math.round((now() - begun) * 1000) / 1000,
          refusedBy: request.problem?.stage,
        },
        'request',
      );
    });
    done();
  };
}
