import type { Span } from '../process/collector.ts';
import { colour } from '../terminal/colour.ts';
import { count } from '../terminal/count.ts';
import { toText } from '../terminal/table.ts';

const barWidth = 30;

/** A trace as a tree: a line per span with its time, and a line per event. Spans whose parent is missing begin a tree. */
export function formatTrace(spans: Span[]): string {
  const ordered = spans.toSorted((a, b) => (a.startNs < b.startNs ? -1 : 1));
  const ids = new Set(ordered.map(({ spanId }) => spanId));
  const roots = ordered.filter(({ parentId }) => parentId === null || !ids.has(parentId));
  const startNs = ordered[0]?.startNs ?? 0n;
  const endNs = ordered.reduce((last, span) => (span.endNs > last ? span.endNs : last), startNs);
  const totalMs = msBetween(startNs, endNs);

  const rows: string[][] = [];
  const shown = new Set<Span>(); // two spans with the same id could be each other's parent
  const add = (span: Span, depth: number): void => {
    if (shown.has(span)) return;
    shown.add(span);
    const text = `${'  '.repeat(depth)}${describe(span)}`;
    const [from, to] = [msBetween(startNs, span.startNs), msBetween(startNs, span.endNs)];
    rows.push([text, barOf(from / totalMs, to / totalMs), `${(to - from).toFixed(1)} ms`]);
    for (const { name, atNs, attributes } of span.events) {
      const values = Object.values(attributes).join(', ');
      const at = msBetween(startNs, atNs).toFixed(1);
      rows.push([`${'  '.repeat(depth + 1)}${name}: ${values}`, '', `at ${at} ms`]);
    }
    for (const child of ordered) if (child.parentId === span.spanId) add(child, depth + 1);
  };
  for (const root of roots) add(root, 0);

  const [first] = ordered;
  const head = `trace ${first?.traceId ?? ''}: ${count(spans.length, 'span')}, ${totalMs.toFixed(1)} ms`;
  return `${colour.bold(head)}\n${toText(rows, 2)}`;
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
