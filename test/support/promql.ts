// The words of a query that are not names of metrics.
const words = /^(?:and|or|unless|by|without|on|ignoring|group_left|group_right|bool|offset|inf|nan)$/i;
const labelLists = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g;

/** The names of the metrics in a PromQL query. */
export function findMetrics(query: string): string[] {
  const bare = query
    .replaceAll(/#.*$/gm, '')
    .replaceAll(/"[^"]*"|'[^']*'/g, '')
    .replaceAll(/\{[^}]*\}|\[[^\]]*\]/g, ' ')
    .replaceAll(labelLists, ' ');
  const found = [...bare.matchAll(/[a-zA-Z_:][\w:]*(?!\w*\s*\()/g)].map(([name]) => name);
  // In a number such as 1e3, the letter is not a name.
  return [...new Set(found.filter((name) => !words.test(name) && !new RegExp(`\\d${name}\\b`).test(bare)))];
}

/** `a_seconds_bucket` belongs to the histogram `a_seconds`. */
export function withoutSuffix(name: string): string {
  return name.replace(/_(?:bucket|count|sum)$/, '');
}

/** A query of a Grafana panel as Grafana would send it with nothing selected. */
export function fillVariables(query: string): string {
  return query.replaceAll('$__rate_interval', '1m').replaceAll(/\$(?:instance|route|service)\b/g, '.*');
}
