import type { IncomingHttpHeaders } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { ExportResultCode } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, RandomIdGenerator, type ReadableSpan } from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import * as z from 'zod';
import type { Exchange, Observer } from './exchange.ts';
import { OutageLog } from './outage-log.ts';
import { ServerTiming } from './server-timing.ts';
import { spanMaker } from './spans.ts';
import { validate } from './start-error.ts';
import { SAMPLERS, samplerOf, type Trace, traceOf } from './trace-context.ts';

// The end of the process waits at most this long for the last spans to be exported.
const FLUSH_MS = 2_000;

const endpoint = z
  .string()
  .regex(/^https?:\/\/[^\s?#]+$/, 'must be an http:// or https:// URL without a query')
  .optional();
const protocol = z.literal('http/json', 'only http/json is supported').optional();
const whole = (fallback: number) =>
  z.coerce.number('must be a whole number, 1 to 1000000').int().min(1).max(1_000_000).default(fallback);

// The exporter itself reads more variables: OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION and the files of TLS.
// envDetector reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
const environmentSchema = z.object({
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint,
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: protocol,
  OTEL_TRACES_SAMPLER: z.enum(SAMPLERS).default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number('must be a number from 0 to 1').min(0).max(1).default(1),
  OTEL_BSP_SCHEDULE_DELAY: whole(5_000),
  OTEL_BSP_MAX_QUEUE_SIZE: whole(2_048),
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: whole(512),
});

type Environment = z.infer<typeof environmentSchema>;

/** Observer: gives each exchange its trace, and exports its spans if the environment names an endpoint for them. */
export class Tracing implements Observer {
  readonly #spans: Spans | null;
  readonly #timed: boolean;

  /** Throws a StartError when a variable of OpenTelemetry is bad. */
  constructor(config: { services: Record<string, { url: string }>; serverTiming: boolean }, log: Logger) {
    const set = Object.entries(process.env).filter(([, value]) => value !== '');
    const variables = Object.fromEntries(set);
    this.#timed = config.serverTiming;
    this.#spans = null;
    if (variables.OTEL_EXPORTER_OTLP_ENDPOINT || variables.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) {
      const environment = validate(environmentSchema, variables, 'The environment is not usable');
      this.#spans = new Spans(environment, config.services, log);
    }
  }

  begin(exchange: Exchange, headers: IncomingHttpHeaders | null): void {
    if (!headers) return;
    exchange.trace = traceOf(headers);
    this.#spans?.begin(exchange.trace);
    if (this.#timed) exchange.timing = new ServerTiming(exchange);
  }

  end(exchange: Exchange): void {
    if (exchange.trace?.spanId) this.#spans?.end(exchange);
  }

  /** Exports the rest of the spans, or loses them after FLUSH_MS. */
  async close(): Promise<void> {
    await this.#spans?.close();
  }
}

/** Gives span ids to the traces that are sampled, and exports the spans of exchanges that have ended. */
class Spans {
  readonly #isSampled: (trace: Trace) => boolean;
  readonly #newSpanId = new RandomIdGenerator().generateSpanId;
  readonly #make: (exchange: Exchange) => ReadableSpan[];
  readonly #exporter: OTLPTraceExporter;
  readonly #processor: BatchSpanProcessor;

  constructor(environment: Environment, services: Record<string, { url: string }>, log: Logger) {
    this.#isSampled = samplerOf(environment.OTEL_TRACES_SAMPLER, environment.OTEL_TRACES_SAMPLER_ARG);
    const resource = resourceFromAttributes({ 'service.name': 'gateway' });
    this.#make = spanMaker(services, resource.merge(detectResources({ detectors: [envDetector] })));
    const { OTEL_EXPORTER_OTLP_ENDPOINT: base = '', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces } =
      environment;
    const batches = environment.OTEL_BSP_MAX_QUEUE_SIZE / environment.OTEL_BSP_MAX_EXPORT_BATCH_SIZE;
    this.#exporter = new OTLPTraceExporter({
      url: traces ?? `${base.replace(/\/$/, '')}/v1/traces`,
      concurrencyLimit: Math.ceil(batches) + 2, // at the end, all batches are exported at once
    });
    logOutages(this.#exporter, log);
    this.#processor = new BatchSpanProcessor({
      exporter: this.#exporter,
      scheduledDelayMillis: environment.OTEL_BSP_SCHEDULE_DELAY,
      maxQueueSize: environment.OTEL_BSP_MAX_QUEUE_SIZE,
      maxExportBatchSize: environment.OTEL_BSP_MAX_EXPORT_BATCH_SIZE,
    });
  }

  /** The service gets the span of the call to it as its parent. */
  begin(trace: Trace): void {
    const callId = this.#newSpanId();
    const sampled = this.#isSampled(trace);
    trace.headers[1] = `00-${trace.id}-${callId}-${sampled ? '01' : '00'}`;
    if (!sampled) return;
    trace.spanId = this.#newSpanId();
    trace.callId = callId;
  }

  end(exchange: Exchange): void {
    for (const span of this.#make(exchange)) this.#processor.onEnd(span);
  }

  async close(): Promise<void> {
    const flushed = this.#processor.forceFlush().catch(() => {}); // one of the batches has failed
    const exported = flushed.then(() => this.#exporter.forceFlush()).catch(() => {});
    await Promise.race([exported, delay(FLUSH_MS)]);
  }
}

/** Logs when the exporter begins to lose spans, and when they are exported again. */
function logOutages(exporter: OTLPTraceExporter, log: Logger): void {
  const outages = new OutageLog(log, 'trace exporter');
  let isLost = false;
  const exportSpans = exporter.export.bind(exporter);
  exporter.export = (spans, done) =>
    exportSpans(spans, (result) => {
      const failed = result.code === ExportResultCode.FAILED;
      if (failed !== isLost) outages.note(failed ? new Error(causeOf(result.error)) : null);
      isLost = failed;
      done(result);
    });
}

/** The status or the code of an error. Messages may contain header fields, and with them secrets. */
function causeOf(error?: Error & { code?: string | number }): string {
  if (typeof error?.code === 'number') return `the collector answered ${error.code}`;
  return error?.code ?? error?.message ?? 'the export failed';
}
