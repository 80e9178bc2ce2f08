import { join } from 'node:path';
import { readText } from '../../shared/repository/phase-files.ts';
import { root } from '../../shared/repository/phases.ts';

/** A metric as docs/metrics.md describes it. */
export interface DocumentedMetric {
  name: string;
  type: string;
  labels: string[];
  queries: string[];
}

/** The sections of docs/metrics.md whose heading is the name of a metric. */
export function readMetricsPage(): DocumentedMetric[] {
  const text = readText(join(root, 'docs', 'metrics.md'));
  return text
    .split(/^#{2,3} (?=)/m)
    .filter((section) => section.startsWith('`gateway_'))
    .map((section) => ({
      name: /^`(\w+)`\n/.exec(section)?.[1] ?? '',
      type: /^- (counter|gauge|histogram|summary)\b/m.exec(section)?.[1] ?? '',
      labels: [...(/^- labels: (.*)$/m.exec(section)?.[1] ?? '').matchAll(/`(\w+)`/g)].map(
        ([, name]) => name ?? '',
      ),
      queries: findQueries(section),
    }));
}

/** Every query of docs/metrics.md. */
export function readDocumentedQueries(): string[] {
  return findQueries(readText(join(root, 'docs', 'metrics.md')));
}

function findQueries(text: string): string[] {
  return [...text.matchAll(/^```promql\n(.*?)\n```$/gms)].map(([, query]) => query ?? '');
}
