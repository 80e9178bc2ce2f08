import { type Attributes, createTraceState, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { millisToHrTime } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan, TimedEvent } from '@opentelemetry/sdk-trace';
import { type Exchange, STATUS_CLIENT_CLOSED } from './exchange.ts';
import { METHODS } from './metrics.ts';
import type { Trace } from './trace-context.ts';

const SCOPE = { name: 'phased-gateway' };

/** What differs between the spans of an exchange. Times are in ms since 1970. */
interface Part {
  kind: SpanKind;
  name: string;
  id: string;
  parent: { id: string; isRemote: boolean } | null;
  startMs: number;
  endMs: number;
  attributes: Attributes;
  /** The attribute error.type. A span with one has the status ERROR. */
  error: string | undefined;
  events: TimedEvent[];
}

/**
 * Makes the spans of exchanges that have ended: SERVER for the request and, if the service was called, CLIENT for the
 * call. Names, attributes and status follow OpenTelemetry's conventions for HTTP spans. url.full is left out, because a
 * query may contain secrets, and so are the address and the user agent of the client.
 */
export function spanMaker(services: Record<string, { url: string }>, resource: Resource) {
  const addresses = new Map<string, Attributes>();
  for (const [name, { url }] of Object.entries(services)) {
    const { hostname, port, protocol } = new URL(url);
    const usual = protocol === 'https:' ? 443 : 80;
    addresses.set(name, {
      'server.address': hostname.replace(/[[\]]/g, ''),
      'server.port': Number(port) || usual,
    });
  }

  const toSpan = ({ id: traceId, headers }: Trace, part: Part): ReadableSpan => {
    const { kind, name, id, parent, startMs, endMs, attributes, error, events } = part;
    const [, , , state] = headers;
    const traceState = state === undefined ? undefined : createTraceState(state);
    const context = (spanId: string) => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED, traceState });
    return {
      kind,
      name,
      spanContext: () => context(id),
      parentSpanContext: parent ? { ...context(parent.id), isRemote: parent.isRemote } : undefined,
      startTime: millisToHrTime(startMs),
      endTime: millisToHrTime(endMs),
      duration: millisToHrTime(endMs - startMs),
      ended: true,
      status: { code: error === undefined ? SpanStatusCode.UNSET : SpanStatusCode.ERROR },
      attributes: known({ ...attributes, 'error.type': error }),
      events,
      links: [],
      resource,
      instrumentationScope: SCOPE,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  };

  return (exchange: Exchange): ReadableSpan[] => {
    const { route, calledMs, completedMs, durationMs } = exchange;
    const trace = exchange.trace as Trace;
    const spanId = trace.spanId as string;
    const startMs = Date.now() - durationMs;
    const method = METHODS.has(exchange.method ?? '') ? (exchange.method as string) : '_OTHER';
    const verb = method === '_OTHER' ? 'HTTP' : method;
    const server = toSpan(trace, {
      kind: SpanKind.SERVER,
      name: route ? `${verb} ${route.prefix}` : verb,
      id: spanId,
      parent: trace.parentId === null ? null : { id: trace.parentId, isRemote: true },
      startMs,
      endMs: startMs + durationMs,
      attributes: {
        'http.request.method': method,
        'http.response.status_code': statusSent(exchange),
        'http.route': route?.prefix,
        'url.scheme': 'http',
        'url.path': exchange.url?.startsWith('/') ? exchange.url.split(/[?#]/, 1)[0] : undefined,
        'gateway.client': exchange.client?.id,
        'gateway.request_id': exchange.id,
      },
      error: faultOf(exchange),
      events: refusalOf(exchange, startMs),
    });
    if (calledMs === null || !route) return [server];
    const call = toSpan(trace, {
      kind: SpanKind.CLIENT,
      name: verb,
      id: trace.callId as string,
      parent: { id: spanId, isRemote: false },
      startMs: startMs + calledMs,
      endMs: startMs + (completedMs ?? durationMs),
      attributes: {
        'http.request.method': method,
        'http.response.status_code': exchange.answered ? statusSent(exchange) : undefined,
        'gateway.service': route.service,
        ...addresses.get(route.service),
      },
      error: failureOf(exchange),
      events: [],
    });
    return [server, call];
  };
}

/** Without the attributes that have no value. */
function known(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}

/** Undefined when the client has left: what it has received of the response is unknown. */
function statusSent({ status }: Exchange): number | undefined {
  return status === STATUS_CLIENT_CLOSED ? undefined : status;
}

/** For SERVER, a response below 500 is no error, unless it was cut. */
function faultOf({ problem, status, answered }: Exchange): string | undefined {
  if (problem) return answered || problem.status >= 500 ? problem.name : undefined;
  return status >= 500 ? String(status) : undefined;
}

/** For CLIENT, also a response from 400 on is an error, and so is a call without a whole response. */
function failureOf({ problem, status, completedMs }: Exchange): string | undefined {
  if (problem) return problem.name;
  if (completedMs === null) return 'client-disconnected';
  return status >= 400 && status !== STATUS_CLIENT_CLOSED ? String(status) : undefined;
}

function refusalOf({ problem, durationMs }: Exchange, startMs: number): TimedEvent[] {
  if (!problem) return [];
  const attributes = { 'gateway.stage': problem.stage, 'gateway.problem': problem.name };
  return [{ name: 'refused', time: millisToHrTime(startMs + durationMs), attributes }];
}
