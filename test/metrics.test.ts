import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseSamples, type Sample } from '../shared/metrics/prometheus-text.ts';
import { readText } from '../shared/repository/phase-files.ts';
import { root } from '../shared/repository/phases.ts';
import { type DemoServices, startDemoServices } from '../shared/upstreams/demo-services.ts';
import { readAlerts } from './support/alerts.ts';
import { dashboardQueries, dashboardVariables } from './support/grafana-dashboard.ts';
import { readDocumentedQueries, readMetricsPage } from './support/metrics-page.ts';
import { newestPhase, startNewestGateway } from './support/newest-gateway.ts';
import { arePresent } from './support/program.ts';
import { fillVariables, findLabels, findMetrics, withoutSuffix } from './support/promql.ts';

const hasPromtool = arePresent('promtool');
const page = readMetricsPage();
const folder = mkdtempSync(join(tmpdir(), 'gateway-metrics-'));
const key = { 'x-api-key': 'demo-mobile-app-key' };
// Added by Prometheus itself.
const added = ['up', 'ALERTS'];

let services: DemoServices;
let text: string;
let samples: Sample[];

beforeAll(async () => {
  services = await startDemoServices({ inventory: 0, orders: 0 });
  const config = JSON.parse(readText(join(newestPhase.folder, 'gateway.json')));
  config.services.inventory.url = services.inventory.url;
  config.services.orders.url = services.orders.url;
  const file = join(folder, 'gateway.json');
  writeFileSync(file, JSON.stringify(config));
  const gateway = await startNewestGateway(file);

  // Requests of every kind, so that every metric has a series.
  const get = async (path: string, headers = {}) => {
    const answer = await fetch(`http://127.0.0.1:${gateway.port}${path}`, { headers });
    await answer.text();
    return answer.status;
  };
  expect(await get('/api/inventory/1')).toBe(200);
  expect(await get('/api/orders/1', key)).toBe(200);
  expect(await get('/api/orders/1')).toBe(401);
  expect(await get('/nowhere')).toBe(404);
  await fetch(`${services.orders.url}/_faults`, { method: 'POST', body: 'fault=status&status=500' });
  for (let i = 0; i < config.circuitBreaker.failureThreshold; i++) await get('/api/orders/1', key);
  expect(await get('/api/orders/1', key)).toBe(503);

  text = await (await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`)).text();
  samples = parseSamples(text);
});

afterAll(async () => {
  await services?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The metrics that the gateway exposes, by name. */
function shown(): Map<string, { type: string; labels: string[] }> {
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => ({
    name,
    type,
  }));
  return new Map(
    types.map(({ name, type }) => {
      const own = samples.filter((sample) => sample.name === name || withoutSuffix(sample.name) === name);
      const labels = new Set(own.flatMap((sample) => Object.keys(sample.labels)));
      if (type === 'histogram') labels.delete('le');
      return [name, { type, labels: [...labels].sort() }];
    }),
  );
}

describe('docs/metrics.md', () => {
  test('has every metric of the gateway and no other, each with its type and its labels', () => {
    const documented = page.map(({ name, type, labels }) => [name, { type, labels: labels.toSorted() }]);
    const real = [...shown()].filter(([name]) => name.startsWith('gateway_'));
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(real));
  });

  test('names each metric once', () => {
    expect(new Set(page.map(({ name }) => name)).size).toBe(page.length);
  });

  test.each(page.map((metric) => [metric.name, metric] as const))(
    'shows a query for %s',
    (name, { queries }) => {
      expect(queries.flatMap(findMetrics).map(withoutSuffix)).toContain(name);
    },
  );
});

describe('every metric exists that is used in', () => {
  const exists = (name: string) =>
    added.includes(name) || shown().has(name) || shown().has(withoutSuffix(name));

  test.each([
    ['docs/metrics.md', readDocumentedQueries()],
    ['the dashboard', dashboardQueries.map(({ expr }) => expr)],
    ['the variables of the dashboard', dashboardVariables.map(({ metric }) => metric)],
    ['the alerts', readAlerts().map(({ expr }) => expr)],
  ])('%s', (_where, queries) => {
    const names = [...new Set(queries.flatMap(findMetrics))];
    expect(names.length).toBeGreaterThan(2);
    expect(names.filter((name) => !exists(name))).toEqual([]);
  });

  test('the texts of the alerts', () => {
    const alerts = readText(join(root, 'shared', 'stack', 'alerts.yml'));
    const names = [...alerts.matchAll(/\b(?:gateway|nodejs|process)_\w+/g)].map(([name]) => name);
    expect(names.filter((name) => !exists(name))).toEqual([]);
  });
});

describe('the labels that a query names exist', () => {
  const queries = [
    ...dashboardQueries.map(({ expr }) => expr),
    ...readDocumentedQueries(),
    ...readAlerts().map(({ expr }) => expr),
  ];
  // Added by Prometheus when it scrapes. Every histogram has `le`.
  const everywhere = ['job', 'instance', 'le', 'alertstate'];

  test.each(queries.map((query) => [query.replaceAll(/\s+/g, ' '), query] as const))(
    '%s',
    (_title, query) => {
      const metrics = findMetrics(query).map(withoutSuffix);
      const known = new Set([...everywhere, ...metrics.flatMap((name) => shown().get(name)?.labels ?? [])]);
      expect(findLabels(query).filter((label) => !known.has(label))).toEqual([]);
    },
  );
});

describe.skipIf(!hasPromtool)('promtool', () => {
  test('finds nothing wrong with what the gateway shows', () => {
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect(checked.stdout + checked.stderr).toBe('');
    expect(checked.status).toBe(0);
  });

  test('understands every query of the document and of the dashboard', () => {
    const queries = [...readDocumentedQueries(), ...dashboardQueries.map(({ expr }) => fillVariables(expr))];
    const rules = queries.map((expr, i) => ({ record: `query_${i}`, expr }));
    const file = join(folder, 'queries.json');
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }));
    const checked = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
    expect(checked.stdout + checked.stderr).toContain(`SUCCESS: ${queries.length} rules found`);
  });
});

describe('what is found in a query', () => {
  test.each([
    ['up', ['up'], []],
    ['sum by (route, le) (rate(a_seconds_bucket{route=~"x|y"}[5m]))', ['a_seconds_bucket'], ['route', 'le']],
    [
      'histogram_quantile(0.99, sum by (le) (rate(b_bucket[1m]))) > 1e3 and on (x) group_left (y) c{z!="a=\\"b"}',
      ['b_bucket', 'c'],
      ['le', 'x', 'y', 'z'],
    ],
    ['sum(a) / scalar(sum(b)) or vector(0)', ['a', 'b'], []],
    ['max by (service) (avg_over_time(d[$__rate_interval])) > 0.5 # not this', ['d'], ['service']],
  ])('%s', (query, metrics, labels) => {
    expect(findMetrics(query)).toEqual(metrics);
    expect(findLabels(query)).toEqual(labels);
  });

  test('is an error when it does not parse', () => {
    expect(() => findMetrics('sum(a')).toThrow(SyntaxError);
  });
});
