import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { startRedis } from '../../shared/contract/harness/redis.ts';
import { isHealthy } from '../../shared/process/ask.ts';
import type { GatewayPorts } from '../../shared/process/gateway-process.ts';
import { freePort } from '../../shared/process/ports.ts';
import { becomesReady } from '../../shared/process/program.ts';
import { readText } from '../../shared/repository/phase-files.ts';
import { root } from '../../shared/repository/phases.ts';
import { type DemoServices, startDemoServices } from '../../shared/upstreams/demo-services.ts';
import { compose } from './compose-file.ts';
import { type NewestGateway, startNewestGateway } from './newest-gateway.ts';
import { startProcess, type TestProcess } from './processes.ts';

const stack = join(root, 'shared', 'stack');
const readyMs = 20_000;
const drainDelayMs = compose.services['gateway-1']?.environment?.DRAIN_DELAY_MS;

/** The gateways of docker-compose.yml and their balancer as processes of this machine, on free ports, without Docker. */
export interface BalancedGateways {
  /** The URL for clients. */
  balancer: string;
  gateways: [NewestGateway, NewestGateway];
  services: DemoServices;
  /** Starts a gateway in place of one that has ended, on its ports. */
  restart(ended: GatewayPorts): Promise<NewestGateway>;
}

/** The whole stack, with Prometheus. */
export interface RunningStack extends BalancedGateways {
  /** The URL of Prometheus. */
  prometheus: string;
}

type Replacements = Array<[from: string, to: string]>;

/** Starts the stack with the config files of shared/stack. Only addresses and the intervals of Prometheus are changed. */
export async function startStack(): Promise<RunningStack> {
  const folder = temporaryFolder();
  const balanced = await startBalancedGateways(folder);
  const [one, two] = balanced.gateways;
  const prometheusPort = await freePort();
  render(folder, 'alerts.yml', []);
  const prometheusConfig = render(folder, 'prometheus.yml', [
    ['gateway-1:9464', `127.0.0.1:${one.adminPort}`],
    ['gateway-2:9464', `127.0.0.1:${two.adminPort}`],
    ['localhost:9090', `127.0.0.1:${prometheusPort}`],
    ['scrape_interval: 5s', 'scrape_interval: 1s'],
    ['scrape_timeout: 4s', 'scrape_timeout: 1s'],
    ['evaluation_interval: 5s', 'evaluation_interval: 1s'],
  ]);
  const prometheus = startProcess([
    'prometheus',
    `--config.file=${prometheusConfig}`,
    `--storage.tsdb.path=${join(folder, 'series')}`,
    `--web.listen-address=127.0.0.1:${prometheusPort}`,
  ]);
  await untilWell(prometheus, prometheusPort, '/-/ready', 'Prometheus');
  return { ...balanced, prometheus: `http://127.0.0.1:${prometheusPort}` };
}

/** Starts the balancer, two gateways and what they need. `changes` are made to shared/stack/gateway.json. */
export async function startBalancedGateways(
  folder = temporaryFolder(),
  changes: Replacements = [],
): Promise<BalancedGateways> {
  const services = await startDemoServices({ inventory: 0, orders: 0 });
  afterAll(() => services.close());
  const redis = await startRedis();
  const gatewayConfig = render(folder, 'gateway.json', [
    ['http://inventory:4001', services.inventory.url],
    ['http://orders:4002', services.orders.url],
    ['172.30.99.0/24', '127.0.0.0/8'],
    ...changes,
  ]);
  const start = (ports?: GatewayPorts) =>
    startNewestGateway(gatewayConfig, { DRAIN_DELAY_MS: drainDelayMs, REDIS_URL: redis.url }, ports);
  const gateways: BalancedGateways['gateways'] = [await start(), await start()];
  const [one, two] = gateways;

  const [port, healthPort] = [await freePort(), await freePort()];
  const balancerConfig = render(folder, 'haproxy.cfg', [
    ['bind :8080', `bind 127.0.0.1:${port}`],
    ['bind 127.0.0.1:8404', `bind 127.0.0.1:${healthPort}`],
    ['gateway-1:3000', `127.0.0.1:${one.port} port ${one.adminPort}`],
    ['gateway-2:3000', `127.0.0.1:${two.port} port ${two.adminPort}`],
  ]);
  const balancer = startProcess(['haproxy', '-db', '-f', balancerConfig]);
  await untilWell(balancer, healthPort, '/health', 'The balancer');

  return {
    balancer: `http://127.0.0.1:${port}`,
    gateways,
    services,
    restart: start,
  };
}

/** Is deleted at the end of the test file. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-stack-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a config file of shared/stack into the folder, with these replacements. Returns its path. */
function render(folder: string, name: string, replacements: Replacements): string {
  const file = join(folder, name);
  writeFileSync(file, replaceAll(readText(join(stack, name)), replacements));
  return file;
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

function replaceAll(text: string, replacements: Replacements): string {
  return replacements.reduce((so, [from, to]) => {
    // Without this check, a changed config file would silently keep the address of the container.
    if (!so.includes(from)) throw new Error(`No "${from}" to replace.`);
    return so.replaceAll(from, to);
  }, text);
}

async function untilWell(running: TestProcess, port: number, path: string, what: string): Promise<void> {
  if (await becomesReady(running, () => isHealthy(port, { path }), readyMs)) return;
  throw new Error(`${what} is not ready:\n${running.output()}`);
}
