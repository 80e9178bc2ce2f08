import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';

// prom-client gives these gauges the suffix `_total`, which is for counters. `promtool check metrics` reports them.
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

/** A registry with the metrics of the process and of Node, without those that promtool reports. */
export function newRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  return registry;
}

/**
 * The metrics in OpenMetrics 1.0. When prom-client writes this format, it removes `_total` from the names of its
 * counters permanently, and the next scrape in the Prometheus format misses them.
 */
export async function openMetrics(registry: Registry): Promise<string> {
  const text = (await registry.metrics()).replaceAll(/\n{2,}/g, '\n');
  const counters = /^# HELP (\S+)_total (.*)\n# TYPE \1_total counter$/gm;
  return `${text.replaceAll(counters, '# HELP $1 $2\n# TYPE $1 counter')}# EOF\n`;
}

/** Name, HELP text and label names of a metric. */
interface Definition {
  name: string;
  help: string;
  labels: string[];
}

type Labels = Record<string, string>;

interface Sample {
  metricName: string;
  labels: Record<string, string | number>;
  value: number;
}

/**
 * A metric whose callers can keep its series. The metrics of prom-client look up their labels at every observation:
 * with four histograms that is a twentieth of the cost of a request.
 */
class Family<Series extends { samples(name: string): Sample[] }> {
  readonly name: string;
  readonly #type: string;
  readonly #definition: Definition;
  readonly #newSeries: (labels: Labels) => Series;
  readonly #series = new Map<string, Series>();

  constructor(type: string, definition: Definition, newSeries: (labels: Labels) => Series) {
    this.name = definition.name;
    this.#type = type;
    this.#definition = definition;
    this.#newSeries = newSeries;
  }

  /** The series with these label values, in the order of the label names. */
  series(...values: string[]): Series {
    const key = values.join(' ');
    let series = this.#series.get(key);
    if (!series) {
      const pairs = this.#definition.labels.map((name, i) => [name, values[i] as string]);
      series = this.#newSeries(Object.fromEntries(pairs));
      this.#series.set(key, series);
    }
    return series;
  }

  /** Called by the registry of prom-client. */
  async get() {
    const values = [...this.#series.values()].flatMap((series) => series.samples(this.name));
    return { name: this.name, help: this.#definition.help, type: this.#type, values, aggregator: 'sum' };
  }
}

/** Adds a counter to the registry. */
export function counter(registry: Registry, definition: Definition): Family<Count> {
  const family = new Family('counter', definition, (labels) => new Count(labels));
  registry.registerMetric(family as unknown as Metric);
  return family;
}

/** Adds a histogram to the registry. `bounds` are the upper bounds of its buckets, ascending. */
export function histogram(
  registry: Registry,
  bounds: number[],
  definition: Definition,
): Family<Distribution> {
  const family = new Family('histogram', definition, (labels) => new Distribution(labels, bounds));
  registry.registerMetric(family as unknown as Metric);
  return family;
}

/** One series of a counter. */
export class Count {
  readonly #labels: Labels;
  #value = 0;

  constructor(labels: Labels) {
    this.#labels = labels;
  }

  increment(): void {
    this.#value += 1;
  }

  samples(metricName: string): Sample[] {
    return [{ metricName, labels: this.#labels, value: this.#value }];
  }
}

/** One series of a histogram. */
export class Distribution {
  readonly #labels: Labels;
  readonly #bounds: number[];
  /** Observations per bucket. The last bucket has no upper bound. */
  readonly #counts: number[];
  #sum = 0;

  constructor(labels: Labels, bounds: number[]) {
    this.#labels = labels;
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] as number)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sum += value;
  }

  samples(name: string): Sample[] {
    let count = 0; // the buckets of Prometheus are cumulative
    const buckets = this.#counts.map((own, bucket) => {
      count += own;
      const le = this.#bounds[bucket] ?? '+Inf';
      return { metricName: `${name}_bucket`, labels: { le, ...this.#labels }, value: count };
    });
    const sum = { metricName: `${name}_sum`, labels: this.#labels, value: this.#sum };
    return [...buckets, sum, { metricName: `${name}_count`, labels: this.#labels, value: count }];
  }
}
