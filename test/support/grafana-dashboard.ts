import { join } from 'node:path';
import { readText } from '../../shared/repository/phase-files.ts';
import { root } from '../../shared/repository/phases.ts';

/** A panel as it stands in the file. */
export interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  datasource?: { type: string; uid: string };
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: Array<{ refId: string; expr: string; legendFormat: string; datasource: { uid: string } }>;
  fieldConfig?: { defaults: { unit?: string; mappings?: unknown[] } };
}

interface Dashboard {
  uid: string;
  title: string;
  panels: Panel[];
  annotations: { list: Array<{ expr: string; datasource: { uid: string } }> };
  templating: { list: Array<{ name: string; definition: string; datasource: { uid: string } }> };
}

/** shared/stack/grafana/dashboards/gateway.json */
export const dashboard: Dashboard = JSON.parse(
  readText(join(root, 'shared', 'stack', 'grafana', 'dashboards', 'gateway.json')),
);

/** Every query of its panels, with the title of the panel, and those of its annotations. */
export const dashboardQueries = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr }))),
  ...dashboard.annotations.list.map(({ expr }) => ({ title: 'annotation', expr })),
];

/** Its variables. The values of each are those of a label of a metric. */
export const dashboardVariables = dashboard.templating.list.map(({ name, definition }) => {
  const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(definition) ?? [];
  return { name, metric, label };
});
