import type { Sample } from './prometheus-text.ts';

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*?)\})?[ \t]+([+-]?(?:[\d.]+(?:e[+-]?\d+)?|Inf|NaN))(?=\s|$)/i;
// A label value may contain escaped quotes, braces and commas.
const LABELS = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const QUOTED = /"(?:[^"\\]|\\.)*"/g;

/** The samples of a text in Prometheus' format 0.0.4, or in OpenMetrics. Comments and invalid lines are left out. */
export function parseExposition(text: string): Sample[] {
  return text.split('\n').flatMap((line) => parseLine(line) ?? []);
}

function parseLine(line: string): Sample | undefined {
  if (line === '' || line.startsWith('#')) return undefined;
  // With the label values replaced by dots, the first closing brace ends the labels.
  const blank = line.replace(QUOTED, (quoted) => '"'.padEnd(quoted.length, '.'));
  const match = LINE.exec(blank);
  if (!match) return undefined;
  const [, name = '', labels = '', value = ''] = match;
  const from = blank.indexOf('{') + 1;
  return {
    name,
    labels: labels === '' ? {} : parseLabels(line.slice(from, from + labels.length)),
    value: parseValue(value),
  };
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name = '', value = ''] of text.matchAll(LABELS)) {
    labels[name] = value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped));
  }
  return labels;
}

function parseValue(text: string): number {
  if (/^\+?inf$/i.test(text)) return Number.POSITIVE_INFINITY;
  if (/^-inf$/i.test(text)) return Number.NEGATIVE_INFINITY;
  return Number(text);
}
