import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Dispatcher } from 'undici';
import { Call } from './call.ts';
import { requestHeaders } from './headers.ts';
import type { Route } from './route.ts';
import { readWhole } from './upload.ts';
import type { Upstream } from './upstream.ts';

/** Handler: sends the request to its service, once, and streams the response back. It never retries. */
export function forward(upstreams: Map<string, Upstream>, viaName: string) {
  return (request: FastifyRequest, reply: FastifyReply): void => {
    reply.hijack();
    if (reply.raw.destroyed) return; // the client has closed its connection
    const { route, target } = request.exchange;
    const { dispatcher, timeoutMs } = upstreams.get((route as Route).service) as Upstream;
    const call = new Call(request, reply, timeoutMs);
    const options: Dispatcher.DispatchOptions = {
      path: target,
      method: request.raw.method as Dispatcher.HttpMethod,
      headers: requestHeaders(request, viaName),
      body: call.upload as Readable | null, // undici reads any async iterable, but its types do not have it
    };
    const send = () => dispatcher.dispatch(options, call);
    // RFC 9112 9.2: bytes that arrive on an idle connection are not a response to the next request. undici looks for
    // them in a setImmediate; this one before it makes sure that the event loop reads the socket in between.
    setImmediate(() => {
      if (call.upload || !call.hasBody) {
        send();
        return;
      }
      readWhole(request.raw, (body) => {
        options.body = body;
        call.restartTimer();
        send();
      });
    });
  };
}
