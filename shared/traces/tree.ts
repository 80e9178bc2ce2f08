import type { Span } from '../process/collector.ts';
import { colour } from '../terminal/colour.ts';
import { count } from '../terminal/count.ts';

const barWidth = 30;

/** A trace as a tree: a line per span with its time, and a line per event. Spans whose parent is missing begin a tree. */
export function formatTrace(spans: Span[]): string {
  const ordered = spans.toSorted((a, b) => (a.startNs < b.startNs ? -1 : 1));
  const ids = new Set(ordered.map(({ spanId }) => spanId));
  const roots = ordered.filter(({ parentId }) => parentId === null || !ids.has(parentId));
  const startNs = ordered[0]?.startNs ?? 0n;
  const endNs = ordered.reduce((last, span) => (span.endNs > last ? span.endNs : last), startNs);
  const totalMs = msBetween(startNs, endNs);

  const rows: Array<{ text: string; bar: string; ms: string }> = [];
  const add = (span: Span, depth: number): void => {
    const text = `${'  '.repeat(depth)}${describe(span)}`;
    const [from, to] = [msBetween(startNs, span.startNs), msBetween(startNs, span.endNs)];
    rows.push({ text, bar: barOf(from / totalMs, to / totalMs), ms: (to - from).toFixed(1) });
    for (const { name, atNs, attributes } of span.events) {
      const values = Object.values(attributes).join(', ');
      const at = msBetween(startNs, atNs).toFixed(1);
      rows.push({ text: `${'  '.repeat(depth + 1)}${name}: ${values}`, bar: '', ms: `at ${at}` });
    }
    for (const child of ordered) if (child.parentId === span.spanId) add(child, depth + 1);
  };
  for (const root of roots) add(root, 1);

  const width = Math.max(...rows.map(({ text }) => text.length));
  const msWidth = Math.max(...rows.map(({ ms }) => ms.length));
  const lines = rows.map(
    ({ text, bar, ms }) => `${text.padEnd(width)}  ${bar.padEnd(barWidth)}  ${ms.padStart(msWidth)} ms`,
  );
  const [first] = ordered;
  const head = `trace ${first?.traceId ?? ''}: ${count(spans.length, 'span')}, ${totalMs.toFixed(1)} ms`;
  return [colour.bold(head), ...lines].join('\n');
}

/** Kind, name, service and result of a span. */
function describe({ kind, name, status, attributes }: Span): string {
  const service = attributes['gateway.service'];
  const code = attributes['http.response.status_code'];
  const error = attributes['error.type'];
  const result = code === undefined ? '' : ` ${code}`;
  const cause = status === 'ERROR' && String(error) !== String(code) ? ` ${error}` : '';
  return `${kind} ${name}${service === undefined ? '' : ` to ${service}`}${result}${cause}`;
}

/** The part of the whole time that a span takes, at least one character. `from` and `to` are from 0 to 1. */
function barOf(from: number, to: number): string {
  const start = Math.min(Math.round(from * barWidth), barWidth - 1);
  const end = Math.max(Math.round(to * barWidth), start + 1);
  return ' '.repeat(start) + '='.repeat(end - start);
}

function msBetween(startNs: bigint, endNs: bigint): number {
  return Number(endNs - startNs) / 1_000_000;
}
