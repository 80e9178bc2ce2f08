/** One line of a scrape that has a value. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The parsed body of one scrape of /metrics. */
export interface Metrics {
  readonly text: string;
  readonly samples: Sample[];
  /** The type of each family, by its name. */
  readonly types: Map<string, string>;
  /** The samples with this name and at least these labels. */
  find(name: string, labels?: Record<string, string>): Array<Omit<Sample, 'name'>>;
  /** The sum of the samples that `find` returns; 0 when there are none. */
  total(name: string, labels?: Record<string, string>): number;
  /** Name and labels of all samples whose name starts with `begin`, sorted. */
  series(begin: string): string[];
}

type Format = 'text' | 'openmetrics';

// What is behind the value: a timestamp, or an exemplar of OpenMetrics.
const samplePattern = /^([a-zA-Z_:][\w:]*)(?:\{((?:[^"}]|"(?:\\.|[^"\\])*")*)\})?[ \t]+(\S+)(?:[ \t].*)?$/;
const labelPattern = /\s*([a-zA-Z_]\w*)="((?:\\[\\"n]|[^"\\])*)"\s*(?:,|$)/y;
const quoted = /"(?:\\.|[^"\\])*"/g;
const number = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** The samples of a text in Prometheus' format 0.0.4, or in OpenMetrics. Comments and invalid lines are left out. */
export function parseSamples(text: string): Sample[] {
  return text.split('\n').flatMap((line) => parseSample(line) ?? []);
}

/**
 * Parses the Prometheus text format 0.0.4, or OpenMetrics 1.0.0. Throws at text that a scraper might reject: a sample
 * without HELP and TYPE, a repeated series or family, histogram buckets that contradict each other or the count.
 */
export function parseMetrics(text: string, format: Format = 'text'): Metrics {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new Error('The last line has no line feed.');
  if (format === 'openmetrics' && lines.pop() !== '# EOF') throw new Error('The last line is not # EOF.');

  const samples: Sample[] = [];
  const types = new Map<string, string>();
  const helped = new Set<string>();
  const seen = new Set<string>();
  let family = '';
  for (const line of lines) {
    if (line === '' && format === 'text') continue;
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (helped.has(name)) throw new Error(`A second HELP: ${line}`);
      helped.add(name);
    } else if (keyword === 'TYPE') {
      if (types.has(name)) throw new Error(`A second TYPE: ${line}`);
      types.set(name, rest);
      family = name;
    } else {
      const sample = parseSample(line);
      if (!sample) throw new Error(`Neither a sample nor a comment: ${line}`);
      if (!/^\S+ \S+$/.test(line.replaceAll(quoted, '""')))
        throw new Error(`More than a name, labels, one space and a value: ${line}`);
      if (!namesOf(family, types.get(family), format).includes(sample.name) || !helped.has(family))
        throw new Error(`No HELP and TYPE above this line: ${line}`);
      const series = seriesOf(sample);
      if (seen.has(series)) throw new Error(`A repeated series: ${line}`);
      seen.add(series);
      samples.push(sample);
    }
  }
  checkBuckets(samples);

  const find: Metrics['find'] = (name, labels = {}) => {
    const wanted = Object.entries(labels);
    return samples
      .filter((it) => it.name === name && wanted.every(([label, value]) => it.labels[label] === value))
      .map((it) => ({ labels: it.labels, value: it.value }));
  };
  return {
    text,
    samples,
    types,
    find,
    total: (name, labels) => find(name, labels).reduce((sum, { value }) => sum + value, 0),
    series: (begin) =>
      samples
        .filter(({ name }) => name.startsWith(begin))
        .map(seriesOf)
        .sort(),
  };
}

/** The sample of a line; undefined for a comment, and for a line that is none. */
function parseSample(line: string): Sample | undefined {
  const [, name, inner = '', written = ''] = samplePattern.exec(line) ?? [];
  const labels = parseLabels(inner);
  const value = parseValue(written);
  return name === undefined || labels === undefined || value === undefined
    ? undefined
    : { name, labels, value };
}

function parseLabels(inner: string): Record<string, string> | undefined {
  const labels: Record<string, string> = {};
  labelPattern.lastIndex = 0;
  for (let end = 0; end < inner.length; end = labelPattern.lastIndex) {
    const [, label = '', value = ''] = labelPattern.exec(inner) ?? [];
    if (label === '' || label in labels) return undefined;
    labels[label] = value.replaceAll(/\\(.)/g, (_, sign) => (sign === 'n' ? '\n' : sign));
  }
  return labels;
}

function parseValue(text: string): number | undefined {
  if (/^nan$/i.test(text)) return Number.NaN;
  if (/^[+-]?inf(?:inity)?$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  return number.test(text) ? Number(text) : undefined;
}

/** The names that the samples of a family may have. */
function namesOf(family: string, type: string | undefined, format: Format): string[] {
  if (type === 'histogram') return [`${family}_bucket`, `${family}_sum`, `${family}_count`];
  if (type === 'summary') return [family, `${family}_sum`, `${family}_count`];
  return type === 'counter' && format === 'openmetrics' ? [`${family}_total`] : [family];
}

function seriesOf({ name, labels }: Sample): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
  return `${name}{${pairs.sort().join()}}`;
}

function checkBuckets(samples: Sample[]): void {
  const last = new Map<string, number>();
  for (const sample of samples) {
    const { le, ...others } = sample.labels;
    const base = sample.name.replace(/_(bucket|count)$/, '');
    const key = seriesOf({ ...sample, name: base, labels: others });
    if (sample.name.endsWith('_bucket')) {
      if (sample.value < (last.get(key) ?? 0)) throw new Error(`A bucket is below the previous one: ${key}`);
      last.set(key, sample.value);
    } else if (sample.name.endsWith('_count') && last.has(key) && last.get(key) !== sample.value) {
      throw new Error(`The last bucket is not equal to the count: ${key}`);
    }
  }
}
