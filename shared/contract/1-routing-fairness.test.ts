import { beforeAll, describe, test, vi } from 'vitest';
import { configFor, type Gateway, startGateway } from './harness/gateway.ts';
import { expectFair, type LoadProcess, startLoadProcess, uploadsInChunksOf } from './harness/load.ts';
import { startUpstream } from './harness/upstream.ts';

// Each of these tests measures for several seconds.
vi.setConfig({ testTimeout: 180_000 });

let gateway: Gateway;
let load: LoadProcess;

beforeAll(async () => {
  load = await startLoadProcess();
  const service = await startUpstream((_request, response) => response.end('ok'));
  gateway = await startGateway(
    configFor({
      services: {
        service: { url: service.url, timeoutMs: 30_000 },
        sink: { url: load.sinkUrl, timeoutMs: 30_000 },
      },
      routes: [
        { prefix: '/api', service: 'service' },
        { prefix: '/sink', service: 'sink' },
      ],
    }),
  );
});

// A process of its own keeps the gateway busy on five connections, while twenty other clients measure.
describe('other clients wait at most twice as long', () => {
  test.each([
    ['go to a service', '/sink/x'],
    ['have no route', '/nowhere'],
  ])('while uploads in chunks of 1 byte %s: as long as with chunks of 64 KiB', async (_, target) => {
    await expectFair(gateway, '/api/x', load, {
      usual: uploadsInChunksOf(65_536, target),
      unusual: uploadsInChunksOf(1, target),
    });
  });

  test('while clients pipeline 1,000 refused requests: as long as with one at a time', async () => {
    const head = 'GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n';
    await expectFair(gateway, '/api/x', load, {
      usual: { head, depth: 1 },
      unusual: { head, depth: 1_000 },
    });
  });
});
