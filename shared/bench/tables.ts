import { median, ratios, summariseValues } from '../metrics/statistics.ts';
import type { Measured, Slice } from './measure.ts';
import { cpuOf, figures } from './results.ts';
import type { Column } from './scenarios.ts';
import { bareNode, nginx } from './subjects.ts';

const bytesPerMb = 1024 * 1024;

const megabytesPerSecond = (slice: Slice) =>
  Math.max(slice.bytes, slice.sentBytes) / bytesPerMb / slice.seconds;

/** The table rows of one part of a scenario. The first row is the head. */
export function tabulate(measured: Measured[], extra: Column[] = []): string[][] {
  const has = (name: string) => measured.some((one) => one.name === name);
  const first = has('phase 1') ? 'phase 1' : measured[0]?.name;
  const references = [first, bareNode.name, nginx.name].filter((name) => name !== undefined && has(name));
  const head = ['', 'CPU µs/request', 'requests/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'peak MB', ...extra];
  return [
    [...head, ...references.map((name) => `/ ${name}`), 'errors'],
    ...measured.map((one) => [
      one.name,
      spread(figures(one, cpuOf)),
      spread(figures(one, ({ requests, seconds }) => requests / seconds)),
      spread(figures(one, ({ p50Ms }) => p50Ms)),
      spread(figures(one, ({ p99Ms }) => p99Ms)),
      spread(figures(one, ({ p999Ms }) => p999Ms)),
      number(one.peakBytes / bytesPerMb),
      ...extra.map((column) => extraFigure(one, column)),
      ...references.map((name) => ratioTo(one, measured.find((other) => other.name === name) as Measured)),
      String(one.slices.reduce((sum, { errors }) => sum + errors, 0) || ''),
    ]),
  ];
}

function extraFigure(one: Measured, column: Column): string {
  switch (column) {
    case 'MB/s':
      return spread(figures(one, megabytesPerSecond));
    case 'Redis µs':
      return spread(figures(one, ({ redisCpuUs }) => redisCpuUs));
    case 'start ms':
      return number(one.startMs);
    case 'idle MB':
      return number(one.idleBytes / bytesPerMb);
  }
}

function ratioTo(one: Measured, reference: Measured): string {
  const middle = median(ratios(figures(one, cpuOf), figures(reference, cpuOf)));
  return one === reference ? '1' : middle > 0 && Number.isFinite(middle) ? middle.toFixed(2) : '–';
}

/** `median (lowest–highest)`, or a dash when the median is 0, as without a gateway. */
function spread(values: number[]): string {
  const { median: middle, min, max } = summariseValues(values);
  return middle > 0 ? `${number(middle)} (${number(min)}–${number(max)})` : '–';
}

function number(value: number): string {
  if (!Number.isFinite(value) || value === 0) return '–';
  if (value >= 1000) return Math.round(value).toLocaleString('en');
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
