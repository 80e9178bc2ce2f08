import { beforeAll, describe, expect, test } from 'vitest';
import { until } from '../shared/contract/harness/client.ts';
import { redisAvailable } from '../shared/contract/harness/redis.ts';
import { readAlerts } from './support/alerts.ts';
import { dashboardQueries, dashboardVariables } from './support/grafana-dashboard.ts';
import { readDocumentedQueries } from './support/metrics-page.ts';
import { arePresent } from './support/program.ts';
import { fillVariables } from './support/promql.ts';
import { askPrometheus, query, type RunningStack, startStack } from './support/stack-processes.ts';

const present = arePresent('haproxy', 'prometheus') && redisAvailable;
// The values of shared/stack/gateway.json.
const anonymousLimit = 20;
const key = { 'x-api-key': 'demo-mobile-app-key' };
const partnerKey = { 'x-api-key': 'demo-partner-web-key' };
// Below the limit of a client, because this client also sends other requests.
const partnerCalls = 80;

describe.skipIf(!present)('the stack, as processes on this machine', () => {
  let stack: RunningStack;
  let sent = 0;
  const get = async (path: string, headers: Record<string, string> = {}) => {
    sent += 1;
    const answer = await fetch(stack.balancer + path, { headers });
    await answer.text();
    return answer;
  };
  const fault = (body: string) => fetch(`${stack.services.orders.url}/_faults`, { method: 'POST', body });

  beforeAll(async () => {
    stack = await startStack();
  });

  test('one limit holds over both gateways, and no claim about the address gets around it', async () => {
    const calls = Array.from({ length: 3 * anonymousLimit }, () => get('/api/inventory/1'));
    const statuses = (await Promise.all(calls)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(anonymousLimit);
    expect(statuses.filter((status) => status === 429)).toHaveLength(2 * anonymousLimit);
    for (const header of ['X-Forwarded-For', 'X_Forwarded_For', 'Forwarded', 'X-Real-IP']) {
      const claim = header === 'Forwarded' ? 'for=192.0.2.7' : '192.0.2.7';
      expect((await get('/api/inventory/1', { [header]: claim })).status).toBe(429);
    }
  });

  test('the service learns the address of the caller from the balancer, and what host was asked', async () => {
    const claims = {
      'X-Forwarded-For': '192.0.2.7',
      'X-Forwarded-Host': 'evil.test',
      'X-Forwarded-Proto': 'https',
    };
    sent += 1;
    const answer = await fetch(`${stack.balancer}/api/orders/echo`, {
      headers: { ...partnerKey, ...claims },
    });
    const { headers } = (await answer.json()) as { headers: Record<string, string> };
    expect(headers).toMatchObject({
      'x-forwarded-host': new URL(stack.balancer).host,
      'x-forwarded-proto': 'http',
    });
    expect(headers['x-forwarded-for']).toBe('127.0.0.1, 127.0.0.1');
  });

  test('every kind of answer gets through it', async () => {
    expect((await get('/api/orders/1', key)).status).toBe(200);
    expect((await get('/api/orders/1')).status).toBe(401);
    expect((await get('/api/orders/1', { 'x-api-key': 'wrong' })).status).toBe(401);
    expect((await get('/nowhere')).status).toBe(404);
    expect((await get('/metrics')).status).toBe(404);
    await fault('fault=status&status=500');
    // Each gateway opens its circuit after three failures. The requests after that find both circuits open.
    const statuses: number[] = [];
    for (let i = 0; i < 10; i++) statuses.push((await get('/api/orders/1', key)).status);
    expect(statuses.filter((status) => status === 500)).toHaveLength(6);
    expect(statuses.slice(6)).toEqual([503, 503, 503, 503]);
    await fetch(`${stack.services.orders.url}/_faults`, { method: 'DELETE' });
  });

  test('Prometheus has fetched the series of both gateways: all that was sent, and both took a part', async () => {
    const counted = async () => {
      const series = await query(stack.prometheus, 'sum by (instance) (gateway_http_requests_total)');
      return series.map(({ metric, value }) => ({ instance: metric.instance, count: Number(value[1]) }));
    };
    await until(
      async () => (await counted()).reduce((sum, { count }) => sum + count, 0) === sent,
      `all ${sent} requests are counted`,
      15_000,
    );
    const instances = stack.gateways.map(({ adminPort }) => `127.0.0.1:${adminPort}`).sort();
    expect((await counted()).map(({ instance }) => instance).sort()).toEqual(instances);
    for (const { count } of await counted()) expect(count).toBeGreaterThan(sent / 4);

    const limited = await query(
      stack.prometheus,
      'sum by (decision) (gateway_rate_limit_decisions_total{class="anonymous"})',
    );
    expect(
      Object.fromEntries(limited.map(({ metric, value }) => [metric.decision, Number(value[1])])),
    ).toEqual({
      allowed: anonymousLimit,
      limited: 2 * anonymousLimit + 4,
    });
    const open = await query(stack.prometheus, 'sum by (service) (gateway_circuit_open)');
    expect(Object.fromEntries(open.map(({ metric, value }) => [metric.service, Number(value[1])]))).toEqual({
      inventory: 0,
      orders: 2,
    });
  });

  test('the alerts are loaded and can be evaluated', async () => {
    interface Rules {
      groups: Array<{ rules: Array<{ name: string; health: string; lastError?: string }> }>;
    }
    const rules = async () =>
      (await askPrometheus<Rules>(stack.prometheus, 'rules')).groups.flatMap((group) => group.rules);
    await until(
      async () => (await rules()).every(({ health }) => health !== 'unknown'),
      'each has been evaluated once',
      15_000,
    );
    expect((await rules()).map(({ name, health }) => [name, health])).toEqual(
      readAlerts().map(({ alert }) => [alert, 'ok']),
    );
  });

  test('every query of the dashboard is answered, and shows something', async () => {
    // rate() needs two samples of every series.
    await until(
      async () =>
        (await query(stack.prometheus, 'rate(gateway_circuit_rejections_total[1m]) >= 0')).length > 0,
      'there are rates',
      15_000,
    );
    const silent: string[] = [];
    for (const { title, expr } of dashboardQueries) {
      const series = await query(stack.prometheus, fillVariables(expr));
      if (series.length === 0) silent.push(title);
    }
    // No alert fires yet, and no gateway was started in the last half minute.
    expect(silent.filter((title) => !['Alerts', 'annotation'].includes(title))).toEqual([]);
    for (const { name, metric, label } of dashboardVariables) {
      const values = await askPrometheus<string[]>(stack.prometheus, `label/${label}/values`, {
        'match[]': metric,
      });
      expect(values.length, name).toBeGreaterThan(1);
    }
  });

  test.each(readDocumentedQueries().map((text) => [text.replaceAll(/\s+/g, ' '), text] as const))(
    'the documented query is answered: %s',
    async (_title, text) => {
      await query(stack.prometheus, text);
    },
  );

  test('a gateway that stops finishes what it has, and no caller notices', async () => {
    const [one, two] = stack.gateways;
    const outcomes: Array<number | string> = [];
    // Every call is a new connection to a gateway. With four callers, one is always in flight.
    const call = async () => {
      while (outcomes.length < partnerCalls) {
        const outcome = get('/api/inventory/1', partnerKey).then(({ status }) => status);
        outcomes.push(await outcome.catch((error: Error) => String(error.cause ?? error)));
        if (outcomes.length === partnerCalls / 2) one.child.kill('SIGTERM');
      }
    };
    await Promise.all([call(), call(), call(), call()]);
    expect(await one.ended).toBe(0);
    expect(new Set(outcomes)).toEqual(new Set([200]));
    await until(
      async () => {
        const up = await query(stack.prometheus, 'up{job="gateway"}');
        const of = (adminPort: number) =>
          up.find(({ metric }) => metric.instance === `127.0.0.1:${adminPort}`)?.value[1];
        return of(one.adminPort) === '0' && of(two.adminPort) === '1';
      },
      'Prometheus sees that one is gone',
      15_000,
    );
  });
});
