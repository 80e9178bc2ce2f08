import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { readText } from '../shared/cli/phase-files.ts';
import { root } from '../shared/cli/phases.ts';
import { until } from '../shared/contract/harness/client.ts';
import { freePort } from '../shared/contract/harness/free-port.ts';
import { startRedis } from '../shared/contract/harness/redis.ts';
import { type DemoServices, startDemoServices } from '../shared/upstreams/demo-services.ts';
import { type NewestGateway, startNewestGateway } from './newest-gateway.ts';
import { startProcess, type TestProcess } from './processes.ts';

const stack = join(root, 'shared', 'stack');

/** The stack of docker-compose.yml as processes of this machine, on free ports, without Docker. */
export interface RunningStack {
  /** The URL for clients. */
  balancer: string;
  /** The URL of Prometheus. */
  prometheus: string;
  gateways: [NewestGateway, NewestGateway];
  services: DemoServices;
}

/** Starts it with the config files of shared/stack. Only addresses and the intervals of Prometheus are changed. */
export async function startStack(): Promise<RunningStack> {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-stack-'));
  const services = await startDemoServices({ inventory: 0, orders: 0 });
  afterAll(async () => {
    await services.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const render = (name: string, replacements: Array<[string, string]>): string => {
    const file = join(folder, name);
    writeFileSync(file, replaceAll(readText(join(stack, name)), replacements));
    return file;
  };

  const redis = await startRedis();
  const gatewayConfig = render('gateway.json', [
    ['http://inventory:4001', services.inventory.url],
    ['http://orders:4002', services.orders.url],
    ['172.30.99.0/24', '127.0.0.0/8'],
  ]);
  const start = () => startNewestGateway(gatewayConfig, { REDIS_URL: redis.url });
  const gateways: RunningStack['gateways'] = [await start(), await start()];
  const [one, two] = gateways;

  const [port, healthPort, prometheusPort] = [await freePort(), await freePort(), await freePort()];
  const balancerConfig = render('haproxy.cfg', [
    ['bind :8080', `bind 127.0.0.1:${port}`],
    ['bind 127.0.0.1:8404', `bind 127.0.0.1:${healthPort}`],
    ['gateway-1:3000', `127.0.0.1:${one.port} port ${one.adminPort}`],
    ['gateway-2:3000', `127.0.0.1:${two.port} port ${two.adminPort}`],
  ]);
  const balancer = startProcess('haproxy', ['-db', '-f', balancerConfig]);
  await untilWell(balancer, `http://127.0.0.1:${healthPort}/health`, 'the balancer');

  render('alerts.yml', []);
  const prometheusConfig = render('prometheus.yml', [
    ['gateway-1:9464', `127.0.0.1:${one.adminPort}`],
    ['gateway-2:9464', `127.0.0.1:${two.adminPort}`],
    ['localhost:9090', `127.0.0.1:${prometheusPort}`],
    ['scrape_interval: 5s', 'scrape_interval: 1s'],
    ['scrape_timeout: 4s', 'scrape_timeout: 1s'],
    ['evaluation_interval: 5s', 'evaluation_interval: 1s'],
  ]);
  const prometheus = startProcess('prometheus', [
    `--config.file=${prometheusConfig}`,
    `--storage.tsdb.path=${join(folder, 'series')}`,
    `--web.listen-address=127.0.0.1:${prometheusPort}`,
  ]);
  await untilWell(prometheus, `http://127.0.0.1:${prometheusPort}/-/ready`, 'Prometheus');

  return {
    balancer: `http://127.0.0.1:${port}`,
    prometheus: `http://127.0.0.1:${prometheusPort}`,
    gateways,
    services,
  };
}

/** The data of a response of the Prometheus API. Throws when the response is an error. */
export async function askPrometheus<Data>(
  prometheus: string,
  path: string,
  parameters: Record<string, string> = {},
): Promise<Data> {
  const answer = await fetch(`${prometheus}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const { status, data, error } = (await answer.json()) as { status: string; data: Data; error?: string };
  if (status !== 'success') throw new Error(`${path} ${JSON.stringify(parameters)}: ${error}`);
  return data;
}

/** One series of the answer to a query. */
export interface Series {
  metric: Record<string, string>;
  value: [number, string];
}

/** The series that a query finds now. */
export async function query(prometheus: string, expression: string): Promise<Series[]> {
  const { result } = await askPrometheus<{ result: Series[] }>(prometheus, 'query', { query: expression });
  return result;
}

function replaceAll(text: string, replacements: Array<[string, string]>): string {
  return replacements.reduce((so, [from, to]) => {
    // Without this check, a changed config file would silently keep the address of the container.
    if (!so.includes(from)) throw new Error(`No "${from}" to replace.`);
    return so.replaceAll(from, to);
  }, text);
}

async function untilWell(running: TestProcess, url: string, what: string): Promise<void> {
  let gone = false;
  running.child.once('exit', () => {
    gone = true;
  });
  await until(
    async () => {
      if (gone) throw new Error(`${what} ended at once:\n${running.output()}`);
      const answer = await fetch(url).catch(() => undefined);
      await answer?.body?.cancel();
      return answer?.status === 200;
    },
    `${what} is well`,
    20_000,
  );
}
