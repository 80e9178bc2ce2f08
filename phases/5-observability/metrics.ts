import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Circuit } from './circuit-breaker.ts';
import { Histogram, type Series } from './histogram.ts';
import type { Client } from './identify.ts';
import type { Exchange, Observer } from './observe.ts';
import type { FixedWindows } from './redis.ts';

/** Version of this gateway, as `gateway_build_info` tells it. */
export const VERSION = '1.0.0';

// RFC 9110, and PATCH of RFC 5789. Anybody can invent a method, and every value of a label is a series.
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE']);

// prom-client calls these gauges `_total`, the ending of counters: Prometheus' linter objects.
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

/** What the limiter decided about a request; degraded: without Redis. */
export type Decision = 'allowed' | 'limited' | 'degraded_allowed' | 'degraded_rejected';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const SHORT_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

/** Requests with the same labels. */
interface Requests {
  readonly labels: Record<string, string | number>;
  readonly durations: Series;
  readonly overheads: Series;
  count: number;
}

/**
 * The figures of the gateway, for Prometheus. Every label has values of the config, or of a list in this
 * file: nothing a client sends becomes one, or anybody could fill the memory of both.
 */
export class Metrics implements Observer {
  readonly registry = new Registry();
  readonly #registers = [this.registry];
  #inFlight = 0;

  readonly #durations = new Histogram(
    this.registry,
    'gateway_http_request_duration_seconds',
    'From the header of the request to the last byte of the answer.',
    ['route', 'method', 'status_class'],
    SECONDS,
  );
  readonly #upstreamDurations = new Histogram(
    this.registry,
    'gateway_upstream_duration_seconds',
    'From the call of the service to the end of its answer.',
    ['service', 'outcome'],
    SECONDS,
  );
  readonly #overheads = new Histogram(
    this.registry,
    'gateway_overhead_seconds',
    'What the gateway adds: the whole duration less the time of the service.',
    ['route'],
    SHORT_SECONDS,
  );
  readonly #redisDurations = new Histogram(
    this.registry,
    'gateway_redis_duration_seconds',
    'How long requests waited for Redis.',
    [],
    SHORT_SECONDS,
  ).series();
  readonly #refusals = new Counter({
    name: 'gateway_refusals_total',
    help: 'Answers that the gateway gave itself, by stage and cause.',
    labelNames: ['stage', 'reason', 'client'],
    registers: this.#registers,
  });
  readonly #decisions = new Counter({
    name: 'gateway_rate_limit_decisions_total',
    help: 'Decisions of the limiter. Degraded: Redis did not answer.',
    labelNames: ['class', 'decision'],
    registers: this.#registers,
  });
  readonly #circuitRejections = new Counter({
    name: 'gateway_circuit_rejections_total',
    help: 'Requests that an open circuit refused.',
    labelNames: ['service'],
    registers: this.#registers,
  });
  // By all labels in one string.
  readonly #requests = new Map<string, Requests>();

  constructor(phase: string) {
    const registers = this.#registers;
    const inFlight = () => this.#inFlight;
    const requests = this.#requests;
    collectDefaultMetrics({ register: this.registry });
    for (const name of MISNAMED) this.registry.removeSingleMetric(name);
    new Counter({
      name: 'gateway_http_requests_total',
      help: 'Requests that are over, by what became of them. Status 499: the client left.',
      labelNames: ['route', 'service', 'method', 'status', 'client', 'source'],
      registers,
      collect() {
        this.reset();
        for (const { labels, count } of requests.values()) this.inc(labels, count);
      },
    });
    new Gauge({
      name: 'gateway_requests_in_flight',
      help: 'Requests whose answer is not complete.',
      registers,
      collect() {
        this.set(inFlight());
      },
    });
    new Gauge({
      name: 'gateway_build_info',
      help: 'Always 1; the labels tell what is running.',
      labelNames: ['version', 'phase', 'node'],
      registers,
    }).set({ version: VERSION, phase, node: process.version }, 1);
  }

  begin(): void {
    this.#inFlight += 1;
  }

  end(exchange: Exchange): void {
    const { problem, durationMs, upstreamMs } = exchange;
    this.#inFlight -= 1;
    const requests = this.#requestsLike(exchange);
    requests.count += 1;
    requests.durations.observe(durationMs / 1000);
    requests.overheads.observe((durationMs - (upstreamMs ?? 0)) / 1000);
    const service = exchange.service ?? 'none';
    if (upstreamMs !== null) {
      this.#upstreamDurations.series(service, outcomeOf(exchange)).observe(upstreamMs / 1000);
    }
    if (problem) {
      this.#refusals.inc({
        stage: problem.stage,
        reason: problem.name,
        client: exchange.client ?? 'anonymous',
      });
      if (problem.stage === 'circuit') this.#circuitRejections.inc({ service });
    }
  }

  decided(client: Client, decision: Decision): void {
    this.#decisions.inc({ class: client.class, decision });
  }

  redisAnswered(ms: number): void {
    this.#redisDurations.observe(ms / 1000);
  }

  #requestsLike({ route, service, method, status, client, source }: Exchange): Requests {
    const known = METHODS.has(method ?? '') ? method : 'OTHER';
    const key = `${route} ${known} ${status} ${client} ${source}`;
    let requests = this.#requests.get(key);
    if (!requests) {
      const labels = {
        route: route ?? 'none',
        service: service ?? 'none',
        method: known as string,
        status,
        client: client ?? 'anonymous',
        source,
      };
      const statusClass = `${Math.trunc(status / 100)}xx`;
      requests = {
        labels,
        durations: this.#durations.series(labels.route, labels.method, statusClass),
        overheads: this.#overheads.series(labels.route),
        count: 0,
      };
      this.#requests.set(key, requests);
    }
    return requests;
  }

  /** Figures that are read when Prometheus asks, so that they are true without any traffic. */
  watch(circuits: Map<string, Circuit>, windows: FixedWindows): void {
    const registers = this.#registers;
    for (const service of circuits.keys()) this.#circuitRejections.inc({ service }, 0);
    new Gauge({
      name: 'gateway_circuit_open',
      help: '1 while the circuit of the service is open.',
      labelNames: ['service'],
      registers,
      collect() {
        for (const [service, circuit] of circuits) this.set({ service }, circuit.cooldownLeft() > 0 ? 1 : 0);
      },
    });
    new Counter({
      name: 'gateway_circuit_openings_total',
      help: 'How often the circuit of the service has opened.',
      labelNames: ['service'],
      registers,
      collect() {
        this.reset();
        for (const [service, circuit] of circuits) this.inc({ service }, circuit.openings());
      },
    });
    new Gauge({
      name: 'gateway_redis_up',
      help: '1 when Redis answers in time.',
      registers,
      async collect() {
        this.set((await windows.answers()) ? 1 : 0);
      },
    });
  }

  async text(): Promise<string> {
    return this.registry.metrics();
  }

  /**
   * The same in OpenMetrics 1.0. prom-client can write it too, but cuts `_total` off the names of its counters
   * for good when it does: the next scrape in the older format would miss them.
   */
  async openMetrics(): Promise<string> {
    const text = (await this.text()).replaceAll(/\n{2,}/g, '\n');
    const counters = /^# HELP (\S+)_total (.*)\n# TYPE \1_total counter$/gm;
    return `${text.replaceAll(counters, '# HELP $1 $2\n# TYPE $1 counter')}# EOF\n`;
  }
}

/** How the call of the service ended. */
function outcomeOf({ problem, complete, status }: Exchange): string {
  switch (problem?.name) {
    case 'upstream-unreachable':
      return 'connect';
    case 'upstream-reset':
      return 'reset';
    case 'upstream-invalid':
      return 'invalid';
    case 'upstream-timeout':
      return 'timeout';
  }
  if (!complete) return 'aborted';
  return status >= 500 ? 'http_5xx' : 'ok';
}
