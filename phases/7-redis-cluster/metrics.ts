import type { Exchange, Observer } from './exchange.ts';
import { type Count, counter, type Distribution, histogram, newRegistry } from './prometheus.ts';
import type { Windows } from './rate-limit.ts';

/** RFC 9110, and PATCH of RFC 5789. Clients can invent methods, and every label value is a series. */
export const METHODS = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
]);

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const SHORT_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

// The label `outcome` of a call to a service, by the problem it led to.
const OUTCOMES = new Map([
  ['upstream-unreachable', 'connect'],
  ['gateway-exhausted', 'connect'],
  ['upstream-reset', 'reset'],
  ['upstream-invalid', 'invalid'],
  ['upstream-timeout', 'timeout'],
]);

/** The series that requests with the same labels share. */
interface RequestSeries {
  readonly count: Count;
  readonly durations: Distribution;
  readonly overheads: Distribution;
}

/**
 * Observer: the metrics of requests, for Prometheus. Label values are names of the config, status codes, or words of
 * fixed lists. If clients could choose one, they could fill the memory of the gateway and of Prometheus.
 */
export class Metrics implements Observer {
  readonly registry = newRegistry();
  /** Requests whose response is not complete. */
  inFlight = 0;
  /** By all labels in one string. */
  readonly #requestSeries = new Map<string, RequestSeries>();
  readonly #requests = counter(this.registry, {
    name: 'gateway_http_requests_total',
    help: 'Finished requests. Status 499: the client closed its connection before the response was complete.',
    labels: ['route', 'service', 'method', 'status', 'client', 'source'],
  });
  readonly #durations = histogram(this.registry, SECONDS, {
    name: 'gateway_http_request_duration_seconds',
    help: 'From the request headers to the last byte of the response.',
    labels: ['route', 'method', 'status_class'],
  });
  readonly #upstreamDurations = histogram(this.registry, SECONDS, {
    name: 'gateway_upstream_duration_seconds',
    help: 'From the call of the service to the end of its response.',
    labels: ['service', 'outcome'],
  });
  readonly #overheads = histogram(this.registry, SHORT_SECONDS, {
    name: 'gateway_overhead_seconds',
    help: 'Time added by the gateway: the whole duration minus the time of the service.',
    labels: ['route'],
  });
  readonly #redisDurations = histogram(this.registry, SHORT_SECONDS, {
    name: 'gateway_redis_duration_seconds',
    help: 'How long requests waited for Redis.',
    labels: [],
  }).series();
  readonly #refusals = counter(this.registry, {
    name: 'gateway_refusals_total',
    help: 'Responses made by the gateway itself, by stage and cause.',
    labels: ['stage', 'reason', 'client'],
  });
  readonly #decisions = counter(this.registry, {
    name: 'gateway_rate_limit_decisions_total',
    help: 'Decisions of the rate limiter. Degraded: Redis did not answer.',
    labels: ['class', 'decision'],
  });
  readonly #circuitRejections = counter(this.registry, {
    name: 'gateway_circuit_rejections_total',
    help: 'Requests that an open circuit refused.',
    labels: ['service'],
  });

  /** `services`: the names of the config. Their series exist before the first request. */
  constructor(services: string[]) {
    for (const service of services) this.#circuitRejections.series(service);
  }

  begin(): void {
    this.inFlight += 1;
  }

  end(exchange: Exchange): void {
    const { problem, client, decision, durationMs, upstreamMs } = exchange;
    const service = exchange.route?.service ?? 'none';
    this.inFlight -= 1;
    const series = this.#seriesFor(exchange);
    series.count.increment();
    series.durations.observe(durationMs / 1000);
    series.overheads.observe((durationMs - (upstreamMs ?? 0)) / 1000);
    if (upstreamMs !== null) {
      this.#upstreamDurations.series(service, outcomeOf(exchange)).observe(upstreamMs / 1000);
    }
    if (decision && client) this.#decisions.series(client.class, decision).increment();
    if (!problem) return;
    this.#refusals.series(problem.stage, problem.name, client?.id ?? 'anonymous').increment();
    if (problem.stage === 'circuit') this.#circuitRejections.series(service).increment();
  }

  /** Counts in `windows` and measures how long that takes. `now` is a clock in ms. */
  timed(windows: Windows, now: () => number): Windows {
    return {
      count: async (bucket, windowMs) => {
        const startedAt = now();
        const window = await windows.count(bucket, windowMs);
        this.#redisDurations.observe((now() - startedAt) / 1000);
        return window;
      },
    };
  }

  #seriesFor({ route, method, status, client, source }: Exchange): RequestSeries {
    const key = `${route?.prefix} ${method} ${status} ${client?.id} ${source}`;
    const known = this.#requestSeries.get(key);
    if (known) return known;
    const prefix = route?.prefix ?? 'none';
    const service = route?.service ?? 'none';
    const verb = METHODS.has(method ?? '') ? (method as string) : 'OTHER';
    const clientId = client?.id ?? 'anonymous';
    const series = {
      count: this.#requests.series(prefix, service, verb, String(status), clientId, source),
      durations: this.#durations.series(prefix, verb, `${Math.trunc(status / 100)}xx`),
      overheads: this.#overheads.series(prefix),
    };
    this.#requestSeries.set(key, series);
    return series;
  }
}

function outcomeOf({ problem, completedMs, status }: Exchange): string {
  const outcome = OUTCOMES.get(problem?.name ?? '');
  if (outcome !== undefined) return outcome;
  if (completedMs === null) return 'aborted';
  return status >= 500 ? 'http_5xx' : 'ok';
}
