import { once } from 'node:events';
import http, { type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A span that a collector has received. */
export interface Span {
  traceId: string;
  spanId: string;
  /** Null for the first span of a trace. */
  parentId: string | null;
  name: string;
  kind: string;
  /** In ns since 1970. */
  startNs: bigint;
  endNs: bigint;
  attributes: Record<string, unknown>;
  status: string;
  events: Array<{ name: string; atNs: bigint; attributes: Record<string, unknown> }>;
  /** The attributes of the program that made the span. */
  resource: Record<string, unknown>;
}

/** A collector of spans (OTLP over HTTP, encoded as JSON). */
export interface Collector {
  readonly url: string;
  readonly port: number;
  /** All spans so far. */
  readonly spans: Span[];
  /** The header fields and the path of each export so far, those that were refused too. */
  readonly exports: Array<{ path: string; headers: IncomingHttpHeaders; text: string }>;
  /** Answers the exports from now on with this status, or not at all with null. A status below 300 takes the spans. */
  answerWith(status: number | null): void;
  close(): Promise<void>;
}

// enum SpanKind and enum StatusCode of opentelemetry/proto/trace/v1/trace.proto
const kinds = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'];
const statuses = ['UNSET', 'OK', 'ERROR'];

/**
 * Starts a collector on a port of 127.0.0.1, by default a free one. With `onSpans`, which gets the spans of each export, it
 * keeps none itself.
 */
export async function startCollector(port = 0, onSpans?: (spans: Span[]) => void): Promise<Collector> {
  const spans: Span[] = [];
  const exports: Collector['exports'] = [];
  let status: number | null = 200;
  const receive = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += chunk;
    if (!onSpans) exports.push({ path: request.url ?? '', headers: request.headers, text });
    if (status === null) return;
    const isJson = request.headers['content-type']?.startsWith('application/json');
    const received = isJson ? read(text) : null;
    if (!isJson) response.statusCode = 415;
    else response.statusCode = received ? status : 400;
    response.setHeader('content-type', 'application/json');
    response.end('{}');
    if (!received || status >= 300) return;
    if (onSpans) onSpans(received);
    else spans.push(...received);
  };
  const server = http.createServer((request, response) => {
    receive(request, response).catch(() => response.destroy()); // the program was killed in the middle of an export
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    spans,
    exports,
    answerWith(next) {
      status = next;
    },
    async close() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Attribute {
  key: string;
  value: { stringValue?: string; intValue?: string | number; boolValue?: boolean; doubleValue?: number };
}

interface ExportRequest {
  resourceSpans?: Array<{
    resource?: { attributes?: Attribute[] };
    scopeSpans?: Array<{
      spans?: Array<{
        traceId: string;
        spanId: string;
        parentSpanId?: string;
        name: string;
        kind?: number;
        startTimeUnixNano: string;
        endTimeUnixNano: string;
        attributes?: Attribute[];
        events?: Array<{ name: string; timeUnixNano: string; attributes?: Attribute[] }>;
        status?: { code?: number };
      }>;
    }>;
  }>;
}

/** The spans of an export, or null if it cannot be read. */
function read(text: string): Span[] | null {
  try {
    return spansIn(JSON.parse(text));
  } catch {
    return null;
  }
}

/** The spans of an ExportTraceServiceRequest in JSON. */
function spansIn({ resourceSpans = [] }: ExportRequest): Span[] {
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) =>
    scopeSpans.flatMap(({ spans = [] }) =>
      spans.map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentId: span.parentSpanId || null,
        name: span.name,
        kind: kinds[span.kind ?? 0] as string,
        startNs: BigInt(span.startTimeUnixNano),
        endNs: BigInt(span.endTimeUnixNano),
        attributes: valuesOf(span.attributes),
        status: statuses[span.status?.code ?? 0] as string,
        events: (span.events ?? []).map(({ name, timeUnixNano, attributes }) => ({
          name,
          atNs: BigInt(timeUnixNano),
          attributes: valuesOf(attributes),
        })),
        resource: valuesOf(resource?.attributes),
      })),
    ),
  );
}

function valuesOf(attributes: Attribute[] = []): Record<string, unknown> {
  const pairs = attributes.map(({ key, value }) => {
    const { stringValue, intValue, boolValue, doubleValue } = value;
    return [key, stringValue ?? (intValue === undefined ? (boolValue ?? doubleValue) : Number(intValue))];
  });
  return Object.fromEntries(pairs);
}
