import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GatewayProcess, startPhase } from '../shared/process/gateway-process.ts';
import { findPorts } from '../shared/process/ports.ts';
import { redirectConfig } from '../shared/repository/demo-config.ts';
import { readText } from '../shared/repository/phase-files.ts';
import { findPhase, findPhaseFolder, type Phase, root } from '../shared/repository/phases.ts';
import { type DemoServices, startDemoServices } from '../shared/upstreams/demo-services.ts';

const example = join(root, 'shared', 'examples', 'first-gateway');

// Both have the config and the environment of phase 1. What breaks phase 0 is recorded in its README.
const gateways: Phase[] = [findPhaseFolder('0'), { number: 1, name: 'the first gateway', folder: example }];

describe.each(gateways)('$name', (phase) => {
  let services: DemoServices;
  let gateway: GatewayProcess;
  let folder: string;
  const said: string[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'off-the-shelf-'));
    services = await startDemoServices({ inventory: 0, orders: 0 });
    const servicePorts = { inventory: services.inventory.port, orders: services.orders.port };
    const config = await redirectConfig(join(phase.folder, 'gateway.json'), servicePorts, folder);
    const [port = 0] = await findPorts(0, 1);
    const keep = (line: string) => said.push(line);
    gateway = startPhase(phase, { port, adminPort: 0 }, config, { onLog: keep, onError: keep });
  });
  afterAll(async () => {
    await gateway.stop();
    await services.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('starts, and answers GET /health', async () => {
    expect(await gateway.ready(), said.join('\n')).toBe(true);
    expect(await (await fetch(`${gateway.url}/health`)).json()).toEqual({ status: 'ok' });
  });

  test('routes by prefix, with the query, and refuses what has no route', async () => {
    const one = await fetch(`${gateway.url}/api/inventory/1`);
    expect(await one.json()).toMatchObject({ sku: 'LMP-001' });
    const echo = await fetch(`${gateway.url}/api/orders/echo?x=1&y=%2F`);
    expect(await echo.json()).toMatchObject({ service: 'orders', target: '/echo?x=1&y=%2F' });
    expect((await fetch(`${gateway.url}/nowhere`)).status).toBe(404);
  });

  test('passes a body on', async () => {
    const body = new Uint8Array(2_000_000);
    const echo = await fetch(`${gateway.url}/api/orders/echo`, { method: 'POST', body });
    expect(await echo.json()).toMatchObject({ method: 'POST', bodyBytes: body.length });
  });
});

test('the first gateway is one file of 40 to 60 lines with four numbered steps, and the config of phase 1', () => {
  const server = readText(join(example, 'server.ts'));
  const lines = server.split('\n').length - 1;
  expect(lines).toBeGreaterThanOrEqual(40);
  expect(lines).toBeLessThanOrEqual(60);
  expect(server.match(/\/\/ \d\. \w+( \w+)?(?=:)/g)).toEqual([
    '// 1. Route',
    '// 2. Rewrite',
    '// 3. Call',
    '// 4. Stream back',
  ]);
  expect(server.match(/from '(?!node:)/)).toBeNull();
  expect(readText(join(example, 'gateway.json'))).toBe(readText(join(findPhase('1').folder, 'gateway.json')));
});
