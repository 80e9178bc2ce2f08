import { join } from 'node:path';
import type { ListItem, RootContent } from 'mdast';
import { toString as wordsOf } from 'mdast-util-to-string';
import { visit } from 'unist-util-visit';
import { parseMarkdown } from '../../shared/repository/markdown.ts';
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
  const blocks = readBlocks();
  return blocks.flatMap((heading, index) => {
    const name = wordsOf(heading);
    if (heading.type !== 'heading' || !name.startsWith('gateway_')) return [];
    const below = blocks.slice(index + 1);
    const next = below.findIndex(({ type }) => type === 'heading');
    const section = next === -1 ? below : below.slice(0, next);
    const items = section.flatMap((block) => (block.type === 'list' ? block.children : []));
    const types = items.map((item) => /^(?:counter|gauge|histogram|summary)\b/.exec(wordsOf(item))?.[0]);
    return [
      {
        name,
        type: types.find((type) => type !== undefined) ?? '',
        labels: items.filter((item) => wordsOf(item).startsWith('labels: ')).flatMap(findSpans),
        queries: findQueries(section),
      },
    ];
  });
}

/** Every query of docs/metrics.md. */
export function readDocumentedQueries(): string[] {
  return findQueries(readBlocks());
}

function readBlocks(): RootContent[] {
  return parseMarkdown(readText(join(root, 'docs', 'metrics.md'))).children;
}

function findSpans(item: ListItem): string[] {
  const spans: string[] = [];
  visit(item, 'inlineCode', ({ value }) => {
    spans.push(value);
  });
  return spans;
}

function findQueries(blocks: RootContent[]): string[] {
  return blocks.flatMap((block) => (block.type === 'code' && block.lang === 'promql' ? [block.value] : []));
}
