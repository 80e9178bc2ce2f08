import { parser } from '@prometheus-io/lezer-promql';

const strictParser = parser.configure({ strict: true });

/** The names of the metrics in a PromQL query. Throws a SyntaxError when it is none. */
export function findMetrics(query: string): string[] {
  return find(query, 'Identifier');
}

/** The labels that a PromQL query matches, or by which it groups or joins. Throws a SyntaxError when it is none. */
export function findLabels(query: string): string[] {
  return find(query, 'LabelName');
}

/** `a_seconds_bucket` belongs to the histogram `a_seconds`. */
export function withoutSuffix(name: string): string {
  return name.replace(/_(?:bucket|count|sum)$/, '');
}

/** A query of a Grafana panel as Grafana would send it with nothing selected. */
export function fillVariables(query: string): string {
  return query.replaceAll('$__rate_interval', '1m').replaceAll(/\$(?:instance|route|service)\b/g, '.*');
}

/** The texts of the nodes with this name in the syntax tree. */
function find(query: string, node: string): string[] {
  const text = fillVariables(query);
  const found = new Set<string>();
  strictParser.parse(text).iterate({
    enter({ name, from, to }) {
      if (name === node) found.add(text.slice(from, to));
    },
  });
  return [...found];
}
