import { join } from 'node:path';
import { parse } from 'yaml';
import { readText } from '../../shared/repository/phase-files.ts';
import { root } from '../../shared/repository/phases.ts';

/** An alert as it stands in the file. */
export interface Alert {
  alert: string;
  expr: string;
  for?: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

interface AlertTest {
  alertname: string;
  exp_alerts: unknown[];
}

const stack = join(root, 'shared', 'stack');

/** The alerts of shared/stack/alerts.yml. */
export function readAlerts(): Alert[] {
  const { groups } = parse(readText(join(stack, 'alerts.yml'))) as { groups: Array<{ rules: Alert[] }> };
  return groups.flatMap(({ rules }) => rules);
}

/** The expectations of shared/stack/alerts.test.yml, one for each point in time. */
export function readAlertTests(): AlertTest[] {
  const { tests } = parse(readText(join(stack, 'alerts.test.yml'))) as {
    tests: Array<{ alert_rule_test: AlertTest[] }>;
  };
  return tests.flatMap(({ alert_rule_test }) => alert_rule_test);
}
