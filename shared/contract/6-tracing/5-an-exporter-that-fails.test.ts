// A collector that is down, hangs or answers 500 costs spans. It never costs a request, and it holds up the end of
// the process for 2 s at most. The log says once that spans are lost, and once that they are exported again.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Collector, startCollector } from '../../process/collector.ts';
import { freePort } from '../../process/ports.ts';
import { connect, send, until } from '../harness/client.ts';
import { configFor, type Gateway, startGateway } from '../harness/gateway.ts';
import { startUpstream } from '../harness/upstream.ts';

const collectors: Collector[] = [];
let config: ReturnType<typeof configFor>;

beforeAll(async () => {
  const { url } = await startUpstream();
  config = configFor(
    { services: { a: { url, timeoutMs: 5_000 } }, routes: [{ prefix: '/a', service: 'a' }] },
    6,
  );
});

afterAll(() => Promise.all(collectors.map((collector) => collector.close())));

async function start(port?: number): Promise<Collector> {
  const collector = await startCollector(port);
  collectors.push(collector);
  return collector;
}

/** A gateway that exports its spans to this port soon, and waits 500 ms for each export. */
function exportTo(port: number): Promise<Gateway> {
  return startGateway(config, {
    env: {
      ADMIN_PORT: '0',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_TIMEOUT: '500',
      OTEL_BSP_SCHEDULE_DELAY: '50',
      OTEL_BSP_MAX_QUEUE_SIZE: '100',
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '20',
    },
  });
}

/** Sends requests until the condition holds. Every one of them is answered with 200. */
async function keepSending(gateway: Gateway, condition: () => boolean): Promise<void> {
  const sendAll = async () => {
    for (let i = 0; i < 50; i++) {
      const { status } = await send(gateway, '/a/1', { timeoutMs: 5_000 });
      expect(status).toBe(200);
    }
  };
  const deadline = performance.now() + 15_000; // changes that follow each other within 10 s share a line of the log
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('Not within 15 s of requests.');
    await Promise.all([sendAll(), sendAll()]);
  }
}

describe.each<[what: string, fail: (collector: Collector) => unknown]>([
  ['is killed', (collector) => collector.close()],
  ['hangs', (collector) => collector.answerWith(null)],
  ['answers 500', (collector) => collector.answerWith(500)],
  ['answers 503', (collector) => collector.answerWith(503)],
])('a collector that %s under load', (_what, fail) => {
  test('costs spans, and no request', async () => {
    const collector = await start();
    const gateway = await exportTo(collector.port);
    await keepSending(gateway, () => collector.spans.length > 0);
    await fail(collector);
    // The last line counts: an export may have failed by chance before.
    const last = () => gateway.log().findLast(({ msg }) => /^trace exporter/.test(String(msg)));
    await keepSending(gateway, () => last()?.msg === 'trace exporter lost');
    expect(last()?.reason).toMatch(/^[\x20-\x7e]+$/);

    await collector.close();
    const next = await start(collector.port);
    await keepSending(gateway, () => last()?.msg === 'trace exporter found' && next.spans.length > 0);
    expect((await gateway.stop()).code).toBe(0);
  });
});

describe('the end of the process', () => {
  test('exports the spans that are waiting', async () => {
    const collector = await start();
    const gateway = await startGateway(config, {
      env: {
        ADMIN_PORT: '0',
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_BSP_SCHEDULE_DELAY: '600000',
      },
    });
    for (let i = 0; i < 5; i++) expect((await send(gateway, '/a/1')).status).toBe(200);
    expect(collector.spans).toEqual([]);
    expect((await gateway.stop()).code).toBe(0);
    expect(collector.spans).toHaveLength(10);
  });

  test('exports the spans of the last requests too, in batches of one', async () => {
    const service = await startUpstream(() => {}); // it does not answer
    const collector = await start();
    const services = { a: { url: service.url, timeoutMs: 60_000 } };
    const gateway = await startGateway(configFor({ services, routes: [{ prefix: '/a', service: 'a' }] }, 6), {
      env: {
        ADMIN_PORT: '0',
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '1',
      },
    });
    const clients = await Promise.all(Array.from({ length: 20 }, () => connect(gateway)));
    for (const { socket } of clients) socket.write('GET /a/1 HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => service.begun() === 20, 'the service is called');
    const stopped = gateway.stop();
    await gateway.waitForLog(({ msg }) => msg === 'stopping');
    for (const { socket } of clients) socket.destroy();
    expect((await stopped).code).toBe(0);
    expect(gateway.log().filter(({ status }) => status === 499)).toHaveLength(20);
    expect(collector.spans).toHaveLength(40);
  });

  test.each([
    ['hangs', true],
    ['is down', false],
  ])('is held up for 2 s at most by a collector that %s', async (_what, isUp) => {
    const collector = isUp ? await start() : null;
    collector?.answerWith(null);
    const port = collector?.port ?? (await freePort());
    const gateway = await startGateway(config, {
      env: { ADMIN_PORT: '0', OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` },
    });
    expect((await send(gateway, '/a/1')).status).toBe(200);
    const { code, ms } = await gateway.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(3_000);
  });
});
