import type { Sample } from '../metrics/prometheus-text.ts';
import { type Bucket, histogramQuantile } from '../metrics/statistics.ts';
import type { Scrape } from './scrape.ts';
import { increases, valueNamed } from './scrape-window.ts';

/** The content of a frame. Rates are per second over `seconds`, and null while there is only one scrape. */
export interface Summary {
  phase: string;
  version: string;
  node: string;
  upSeconds: number | null;
  seconds: number | null;
  perSecond: number | null;
  inFlight: number | null;
  redisUp: boolean | null;
  lagSeconds: number | null;
  memoryBytes: number | null;
  routes: RouteSummary[];
  refusals: RefusalSummary[];
  circuits: CircuitSummary[];
  clients: ClientSummary[];
}

export interface RouteSummary {
  route: string;
  perSecond: number | null;
  p50Seconds: number | null;
  p99Seconds: number | null;
  /** Answers with a status of 500 to 599. */
  errorsPerSecond: number | null;
  total: number;
}

export interface RefusalSummary {
  stage: string;
  reason: string;
  perSecond: number | null;
  total: number;
}

export interface CircuitSummary {
  service: string;
  open: boolean;
  openings: number;
  rejections: number;
}

export interface ClientSummary {
  client: string;
  perSecond: number | null;
  refusedPerSecond: number | null;
  total: number;
}

/** Summarises a scrape, and the changes since an older one of the same process. */
export function summarise(oldest: Scrape, newest: Scrape): Summary {
  const seconds = newest.atMs > oldest.atMs ? (newest.atMs - oldest.atMs) / 1000 : null;
  const totals = newest.samples;
  const changes = increases(oldest, newest);
  const rate = (name: string, labels: Record<string, string | RegExp> = {}) =>
    seconds === null ? null : sum(changes, name, labels) / seconds;
  const build = totals.find(({ name }) => name === 'gateway_build_info')?.labels ?? {};
  const redis = valueNamed(newest, 'gateway_redis_up');
  const started = valueNamed(newest, 'process_start_time_seconds');

  return {
    phase: build.phase ?? '?',
    version: build.version ?? '?',
    node: build.node ?? '?',
    upSeconds: started === undefined ? null : newest.atUnixSeconds - started,
    seconds,
    perSecond: rate('gateway_http_requests_total'),
    inFlight: valueNamed(newest, 'gateway_requests_in_flight') ?? null,
    redisUp: redis === undefined ? null : redis === 1,
    lagSeconds: valueNamed(newest, 'nodejs_eventloop_lag_p99_seconds') ?? null,
    memoryBytes: valueNamed(newest, 'process_resident_memory_bytes') ?? null,

    routes: namesOf(totals, 'gateway_http_requests_total', 'route')
      .map((route) => ({
        route,
        perSecond: rate('gateway_http_requests_total', { route }),
        p50Seconds: seconds === null ? null : histogramQuantile(bucketsOf(changes, route), 0.5),
        p99Seconds: seconds === null ? null : histogramQuantile(bucketsOf(changes, route), 0.99),
        errorsPerSecond: rate('gateway_http_requests_total', { route, status: /^5/ }),
        total: sum(totals, 'gateway_http_requests_total', { route }),
      }))
      // By name, so that rows keep their positions. Requests without a route come last.
      .sort((a, b) => Number(a.route === 'none') - Number(b.route === 'none') || compare(a.route, b.route)),

    refusals: pairsOf(totals, 'gateway_refusals_total', 'stage', 'reason')
      .map(([stage, reason]) => ({
        stage,
        reason,
        perSecond: rate('gateway_refusals_total', { stage, reason }),
        total: sum(totals, 'gateway_refusals_total', { stage, reason }),
      }))
      .sort((a, b) => b.total - a.total || compare(a.reason, b.reason)),

    circuits: namesOf(totals, 'gateway_circuit_open', 'service')
      .map((service) => ({
        service,
        open: sum(totals, 'gateway_circuit_open', { service }) > 0,
        openings: sum(totals, 'gateway_circuit_openings_total', { service }),
        rejections: sum(totals, 'gateway_circuit_rejections_total', { service }),
      }))
      .sort((a, b) => compare(a.service, b.service)),

    clients: namesOf(totals, 'gateway_http_requests_total', 'client')
      .map((client) => ({
        client,
        perSecond: rate('gateway_http_requests_total', { client }),
        refusedPerSecond: rate('gateway_refusals_total', { client }),
        total: sum(totals, 'gateway_http_requests_total', { client }),
      }))
      .sort(
        (a, b) => (b.perSecond ?? 0) - (a.perSecond ?? 0) || b.total - a.total || compare(a.client, b.client),
      ),
  };
}

function sum(samples: readonly Sample[], name: string, labels: Record<string, string | RegExp>): number {
  let total = 0;
  for (const sample of samples) {
    if (sample.name === name && fits(sample, labels)) total += sample.value;
  }
  return total;
}

function fits(sample: Sample, labels: Record<string, string | RegExp>): boolean {
  return Object.entries(labels).every(([name, wanted]) => {
    const value = sample.labels[name] ?? '';
    return typeof wanted === 'string' ? value === wanted : wanted.test(value);
  });
}

function bucketsOf(samples: readonly Sample[], route: string): Bucket[] {
  const counts = new Map<string, number>();
  for (const { name, labels, value } of samples) {
    if (name !== 'gateway_http_request_duration_seconds_bucket' || labels.route !== route) continue;
    const bound = labels.le ?? '+Inf';
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].map(([bound, count]) => ({
    upperBound: bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound),
    count,
  }));
}

function namesOf(samples: readonly Sample[], name: string, label: string): string[] {
  return [...new Set(samples.filter((s) => s.name === name).map((s) => s.labels[label] ?? ''))];
}

function pairsOf(samples: readonly Sample[], name: string, a: string, b: string): Array<[string, string]> {
  const pairs = new Map<string, [string, string]>();
  for (const sample of samples) {
    if (sample.name !== name) continue;
    const pair: [string, string] = [sample.labels[a] ?? '', sample.labels[b] ?? ''];
    pairs.set(pair.join('\n'), pair);
  }
  return [...pairs.values()];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
