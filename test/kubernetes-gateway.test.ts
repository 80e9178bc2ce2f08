import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Probe } from 'kubernetes-types/core/v1.js';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readText } from '../shared/repository/phase-files.ts';
import { root } from '../shared/repository/phases.ts';
import { readAlerts } from './support/alerts.ts';
import { compose } from './support/compose-file.ts';
import { all, find, podOf, portOf, redisCluster, singleRedis } from './support/kubernetes-overlays.ts';
import { buildManifests, kubernetesFolder, type Manifest } from './support/kustomize.ts';
import { newestPhase } from './support/newest-gateway.ts';
import { selects } from './support/pods.ts';

const base = singleRedis.manifests;
const environment = find(base, 'ConfigMap', 'gateway').data ?? {};
const gatewayConfig = JSON.parse(find(base, 'Secret', 'gateway-config').stringData?.['gateway.json'] ?? '');
const gateway = find(base, 'Deployment', 'gateway');
const gatewayPod = podOf(singleRedis.pods, 'Deployment gateway');

/** The number that a file of the newest phase gives to a name, in ms. */
function constantOf(file: string, name: string): number {
  const text = readText(join(newestPhase.folder, file));
  const [, digits] = new RegExp(`^const ${name} = ([\\d_]+);$`, 'm').exec(text) ?? [];
  if (!digits) throw new Error(`${file} of ${newestPhase.name} has no ${name}.`);
  return Number(digits.replaceAll('_', ''));
}

describe('the config of the gateways', () => {
  let phase: {
    readConfig(file: string): unknown;
    readEnvironment(variables: object): Record<string, unknown>;
  };
  beforeAll(async () => {
    phase = await import(pathToFileURL(join(newestPhase.folder, 'config.ts')).href);
  });

  test('is that of the newest phase, but for the addresses of the services', () => {
    const demo = JSON.parse(readText(join(newestPhase.folder, 'gateway.json')));
    for (const [name, service] of Object.entries<{ url: string }>(demo.services)) {
      const { port } = new URL(service.url);
      service.url = `http://${name}:${port}`;
      const { spec } = find(base, 'Service', name);
      const { container } = podOf(singleRedis.pods, `Deployment ${name}`);
      expect(spec?.ports?.map((one) => String(one.port))).toEqual([port]);
      expect(String(portOf(container, 'http'))).toBe(port);
      expect(container.args?.join(' ')).toContain(`--only ${name} --host 0.0.0.0`);
    }
    expect(gatewayConfig).toEqual(demo);
    // Without rateLimit.keyPrefix, keys begin with the default of the phase.
    expect(phase.readConfig(join(kubernetesFolder, 'base', 'gateway.json'))).toMatchObject(gatewayConfig);
  });

  test('is where the environment says, and the environment is one that the phase takes', () => {
    const [volume] = gatewayPod.spec.volumes?.filter(({ secret }) => secret) ?? [];
    expect(volume?.secret?.secretName).toBe('gateway-config');
    const mount = gatewayPod.container.volumeMounts?.find(({ name }) => name === volume?.name);
    expect(environment.GATEWAY_CONFIG).toBe(`${mount?.mountPath}/gateway.json`);
    const { url } = find(base, 'Secret', 'redis').stringData ?? {};
    const read = phase.readEnvironment({ ...environment, REDIS_URL: url });
    expect(read).toMatchObject({ HOST: '0.0.0.0', ADMIN_HOST: '0.0.0.0', REDIS_URL: url });
    expect(Object.keys(environment).filter((name) => !(name in read))).toEqual([]);
    const names = gatewayPod.container.env?.map(({ name }) => name);
    expect(names).toEqual(['REDIS_URL']);
  });

  test('names nodes of a cluster in a form that the phase takes', () => {
    const { url } = find(redisCluster.manifests, 'Secret', 'redis').stringData ?? {};
    expect(() => phase.readEnvironment({ ...environment, REDIS_URL: url })).not.toThrow();
  });

  test('has the default ports of the phase, in all places', () => {
    const { PORT, ADMIN_PORT } = phase.readEnvironment({});
    expect([Number(environment.PORT), Number(environment.ADMIN_PORT)]).toEqual([PORT, ADMIN_PORT]);
    expect(portOf(gatewayPod.container, 'public')).toBe(PORT);
    expect(portOf(gatewayPod.container, 'admin')).toBe(ADMIN_PORT);
    expect(find(base, 'Service', 'gateway').spec?.ports?.map(({ targetPort }) => targetPort)).toEqual([
      'public',
    ]);
    const admin = find(base, 'Service', 'gateway-admin').spec;
    expect(admin).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
    expect(admin?.ports).toEqual([{ name: 'admin', port: ADMIN_PORT, targetPort: 'admin' }]);
  });
});

describe('a gateway', () => {
  const { startupProbe, livenessProbe, readinessProbe, lifecycle } = gatewayPod.container;

  test('is not killed for a lost Redis, open circuits or a drain', () => {
    for (const probe of [startupProbe, livenessProbe]) {
      expect(probe?.httpGet).toEqual({ port: 'admin', path: '/health' });
    }
    expect(readinessProbe?.httpGet).toEqual({ port: 'admin', path: '/ready' });
  });

  test('has the time to find out whether Redis is lost', () => {
    // /ready asks Redis, then waits until it is sure: docs/contract.md.
    const longestMs =
      constantOf('fixed-window.ts', 'COMMAND_BUDGET_MS') + constantOf('fixed-window.ts', 'SILENCE_MS');
    expect((readinessProbe?.timeoutSeconds ?? 1) * 1000).toBeGreaterThan(2 * longestMs);
  });

  test('is out of the Service before its listener closes', () => {
    const { periodSeconds = 10, failureThreshold = 3, timeoutSeconds = 1 } = readinessProbe as Probe;
    const noticedMs = (periodSeconds * failureThreshold + timeoutSeconds) * 1000;
    expect(Number(environment.DRAIN_DELAY_MS)).toBeGreaterThan(noticedMs);
    // docs/config.md: a preStop hook that sleeps is not needed.
    expect(lifecycle).toBeUndefined();
  });

  test('may finish what it has before it is killed, and a request has the time for it', () => {
    const drainMs = constantOf('drain.ts', 'DRAIN_MS');
    const endMs = constantOf('tracing.ts', 'FLUSH_MS') + constantOf('log.ts', 'FLUSH_MS');
    const graceMs = (gatewayPod.spec.terminationGracePeriodSeconds ?? 30) * 1000;
    expect(graceMs).toBeGreaterThan(Number(environment.DRAIN_DELAY_MS) + drainMs + endMs);
    const timeouts = Object.values<{ timeoutMs: number }>(gatewayConfig.services).map(
      ({ timeoutMs }) => timeoutMs,
    );
    expect(Math.max(...timeouts)).toBeLessThan(drainMs);
  });

  test('is one of three or more, whatever happens', () => {
    const { spec } = find(base, 'HorizontalPodAutoscaler', 'gateway');
    expect(spec?.scaleTargetRef).toEqual({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'gateway' });
    expect(spec?.minReplicas).toBe(3);
    // Each time the manifests are applied, it would undo the decision of the HorizontalPodAutoscaler.
    expect(gateway.spec).not.toHaveProperty('replicas');
    expect(gateway.spec?.strategy?.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 });
    const keys = gatewayPod.spec.topologySpreadConstraints?.map(({ topologyKey }) => topologyKey);
    expect(keys).toEqual(['kubernetes.io/hostname', 'topology.kubernetes.io/zone']);
  });

  test('is taken away only when the one before it has drained', () => {
    const [policy] =
      find(base, 'HorizontalPodAutoscaler', 'gateway').spec?.behavior?.scaleDown?.policies ?? [];
    expect(policy).toMatchObject({ type: 'Pods', value: 1 });
    expect(policy?.periodSeconds).toBeGreaterThan(gatewayPod.spec.terminationGracePeriodSeconds ?? 30);
  });

  test('has the limits of the stack', () => {
    const { cpus, memory } = compose.services['gateway-1']?.deploy?.resources.limits ?? {};
    expect(gatewayPod.container.resources?.limits).toEqual({
      cpu: cpus,
      memory: memory?.replace(/M$/, 'Mi'),
    });
  });
});

describe('Prometheus', () => {
  const [monitor, ...more] = buildManifests(join(kubernetesFolder, 'monitoring'));
  interface ServiceMonitor extends Manifest {
    spec: {
      jobLabel: string;
      sampleLimit: number;
      selector: { matchLabels: Record<string, string> };
      endpoints: Array<{ port: string; path: string; interval: string; scrapeTimeout: string }>;
    };
  }
  const { apiVersion, kind, metadata, spec } = monitor as ServiceMonitor;

  test('finds the admin listeners, and no other Service', () => {
    expect(more).toEqual([]);
    expect([apiVersion, kind]).toEqual(['monitoring.coreos.com/v1', 'ServiceMonitor']);
    expect(Object.keys(spec).sort()).toEqual(['endpoints', 'jobLabel', 'sampleLimit', 'selector']);
    const services = all(base, 'Service').filter(({ metadata }) =>
      selects(spec.selector, metadata.labels ?? {}),
    );
    expect(services.map((service) => service.metadata.name)).toEqual(['gateway-admin']);
    expect(metadata.namespace).toBe(services[0]?.metadata.namespace);
    const [endpoint, ...others] = spec.endpoints;
    expect(others).toEqual([]);
    expect(endpoint).toMatchObject({ port: services[0]?.spec?.ports?.[0]?.name, path: '/metrics' });
    expect(parseInt(endpoint?.scrapeTimeout ?? '', 10)).toBeLessThan(parseInt(endpoint?.interval ?? '', 10));
  });

  test('gives the series the job of the alerts, and takes as many as in the stack', () => {
    const { labels = {} } = find(base, 'Service', 'gateway-admin').metadata;
    const [down] = readAlerts().filter(({ alert }) => alert === 'GatewayDown');
    expect(down?.expr).toContain(`job="${labels[spec.jobLabel]}"`);
    const stack = parse(readText(join(root, 'shared', 'stack', 'prometheus.yml')));
    expect(spec.sampleLimit).toBe(stack.scrape_configs[0].sample_limit);
  });
});
