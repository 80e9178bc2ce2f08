import { expect } from 'vitest';
import { type Metrics, parseMetrics, type Sample } from '../../metrics/prometheus-text.ts';
import { type Answer, send } from './client.ts';
import { type Gateway, type GatewayConfig, startGateway } from './gateway.ts';

/** The admin listener of a gateway. */
export interface Admin {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** Sends GET for this path and expects JSON. */
  ask(path: string): Promise<{ status: number; body: unknown }>;
  scrape(): Promise<Metrics>;
  /**
   * Scrapes until the samples with this name and at least these labels equal `expected`, in any order. It polls
   * because the gateway counts a request shortly after it has answered. Returns the last scrape.
   */
  expectSamples(
    name: string,
    labels: Record<string, string>,
    expected: Array<Omit<Sample, 'name'>>,
  ): Promise<Metrics>;
  /** Scrapes until the sum of these samples has grown by `growth` since the scrape `since`. */
  expectGrowth(
    since: Metrics,
    name: string,
    labels: Record<string, string>,
    growth: number,
  ): Promise<Metrics>;
}

/** A media type that Prometheus 2.43 and later send in Accept. */
export const openMetrics = 'application/openmetrics-text; version=1.0.0';

/** Starts a gateway whose admin listener uses a free port (ADMIN_PORT=0). */
export async function startObserved(
  config: GatewayConfig,
  options: { env?: Record<string, string> } = {},
): Promise<{ gateway: Gateway; admin: Admin }> {
  const gateway = await startGateway(config, { env: { ADMIN_PORT: '0', ...options.env } });
  return { gateway, admin: await adminOf(gateway) };
}

/** Finds the address of the admin listener in the log line `admin listening`. */
export async function adminOf(gateway: Gateway): Promise<Admin> {
  const { url } = await gateway.waitForLog(({ msg }) => msg === 'admin listening');
  const { hostname: host, port } = new URL(String(url));
  const address = { host, port: Number(port) };
  let latest: Metrics | undefined;
  const scrape = async () => {
    latest = parseMetrics((await expectOk(send(address, '/metrics'))).text);
    return latest;
  };
  const polling = { timeout: 5_000, interval: 25 };
  return {
    ...address,
    url: String(url),
    scrape,
    async ask(path) {
      const answer = await send(address, path);
      expect(answer.headers['content-type']).toMatch(/^application\/json(;|$)/);
      return { status: answer.status, body: answer.json() };
    },
    async expectSamples(name, labels, expected) {
      await expect
        .poll(async () => inOrder((await scrape()).find(name, labels)), polling)
        .toEqual(inOrder(expected));
      return latest as Metrics;
    },
    async expectGrowth(since, name, labels, growth) {
      const before = since.total(name, labels);
      const message = `growth of ${name} ${JSON.stringify(labels)}`;
      await expect
        .poll(async () => (await scrape()).total(name, labels) - before, { ...polling, message })
        .toBe(growth);
      return latest as Metrics;
    },
  };
}

async function expectOk(asked: Promise<Answer>): Promise<Answer> {
  const answer = await asked;
  expect(answer.status).toBe(200);
  return answer;
}

function inOrder<T>(samples: T[]): T[] {
  return samples.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}
