import { describe, expect, test } from 'vitest';
import { expectProblem, send, until } from './harness/client.ts';
import { configFor, type GatewayConfig, startGateway } from './harness/gateway.ts';
import {
  canLimitDescriptors,
  canPause,
  holdCalls,
  pauseWhileAnswered,
  startLateService,
  useUpDescriptors,
} from './harness/local-causes.ts';
import { namespacesAvailable, startNameServer } from './harness/name-server.ts';
import { startUpstream } from './harness/upstream.ts';

const timeoutMs = 3_000;

/** A config with a service and a route for each name. */
function configTo(urls: Record<string, string>, limitMs = timeoutMs): GatewayConfig {
  return configFor({
    services: Object.fromEntries(
      Object.entries(urls).map(([name, url]) => [name, { url, timeoutMs: limitMs }]),
    ),
    routes: Object.keys(urls).map((name) => ({ prefix: `/${name}`, service: name })),
  });
}

// Skipped on other systems than the name of each test says.
// Their gateways start one after the other, which counts as time of each test.
describe.concurrent('trouble of the gateway is not a failure of the service:', { timeout: 90_000 }, () => {
  test.skipIf(!canPause)(
    'responses that arrive while the process is paused are passed on (not on Windows)',
    async () => {
      const held = holdCalls();
      const gateway = await startGateway(configTo({ service: (await startUpstream(held.handler)).url }));
      const answers = await pauseWhileAnswered(gateway, '/service', held, 5, timeoutMs);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
      await gateway.stop();
    },
  );

  test.skipIf(!canLimitDescriptors).each(['127.0.0.1', 'localhost'])(
    'no descriptors left gives 503 until there are some, with the service at %s (Linux only)',
    async (host) => {
      const { port } = await startUpstream();
      const gateway = await startGateway(configTo({ service: `http://${host}:${port}` }));
      const answers = await useUpDescriptors(gateway, '/service', 20);
      for (const answer of answers) expectProblem(answer, 503, 'gateway-exhausted');
      const isServed = () =>
        send(gateway, '/service').then(
          ({ status }) => status === 200,
          () => false,
        );
      await until(isServed, 'the service is called');
      await gateway.stop();
    },
  );

  describe.skipIf(!namespacesAvailable)('a name (Linux only, as root)', () => {
    test('with two addresses gives the first one time to accept', async () => {
      const [first, second] = ['127.77.0.1', '127.77.0.2'];
      const late = await startLateService(first);
      const names = await startNameServer({ answers: { 'late.test': [first, second] } });
      const config = configTo({ late: `http://late.test:${late.port}` }, 10_000);
      const gateway = await startGateway(config, { through: names.through });
      const answer = send(gateway, '/late');
      await until(late.isAwaited, 'the gateway connects', 15_000);
      // The kernel tries again after a second.
      late.begin();
      expect((await answer).text).toBe('late');
      await gateway.stop();
    });

    test('that hangs is looked up once at a time, however many calls wait for it', async () => {
      const { port } = await startUpstream();
      const names = await startNameServer({ answers: {}, hosts: { 'healthy.test': '127.0.0.1' } });
      const config = configTo({
        hanging: `http://hanging.test:${port}`,
        healthy: `http://healthy.test:${port}`,
      });
      const gateway = await startGateway(config, { through: names.through });
      const hanging = Array.from({ length: 8 }, () => send(gateway, '/hanging'));
      await until(() => names.queries('hanging.test') > 0, 'the name server is asked', 15_000);
      expect((await send(gateway, '/healthy')).status).toBe(200);
      for (const answer of await Promise.all(hanging)) expectProblem(answer, 504, 'upstream-timeout');
      await gateway.stop('SIGKILL'); // getaddrinfo() would hold up the exit
    });

    test('that hangs holds up no other, even if there are several', async () => {
      const { port } = await startUpstream();
      const names = await startNameServer({ answers: { 'healthy.test': ['127.0.0.1'] } });
      const hanging = Array.from({ length: 8 }, (_, i) => `hanging-${i}`);
      const config = configTo({
        ...Object.fromEntries(hanging.map((name) => [name, `http://${name}.test:${port}`])),
        healthy: `http://healthy.test:${port}`,
      });
      const gateway = await startGateway(config, { through: names.through });
      const calls = hanging.map((name) => send(gateway, `/${name}`));
      await until(() => names.queries('hanging-0.test') > 0, 'the name server is asked', 15_000);
      expect((await send(gateway, '/healthy')).status).toBe(200);
      await Promise.all(calls);
      await gateway.stop('SIGKILL'); // getaddrinfo() would hold up the exit
    });
  });
});
