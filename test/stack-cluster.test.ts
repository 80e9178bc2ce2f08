import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readText } from '../shared/repository/phase-files.ts';
import { root } from '../shared/repository/phases.ts';
import {
  type ComposeService,
  compose,
  defaultProfile,
  servicesOf,
  stackServices,
} from './support/compose-file.ts';
import { newestPhase } from './support/newest-gateway.ts';

const cluster = servicesOf('cluster');
const inCluster = new Map(cluster);
const ofProfile = (profile: string) =>
  Object.entries(compose.services).filter(([, { profiles }]) => profiles?.includes(profile));
const namesOf = (services: Array<[string, unknown]>) => services.map(([name]) => name);
const nodes = cluster.filter(([name]) => /^redis-\d$/.test(name));
const gateways = cluster.filter(([name]) => /^cluster-gateway-\d$/.test(name));
const single = compose.services['gateway-1'] as ComposeService;
const makeCluster = inCluster.get('make-cluster') as ComposeService;

describe('docker compose --profile cluster up', () => {
  test('starts six nodes, the container that makes a cluster of them, and gateways', () => {
    expect(namesOf(ofProfile('cluster'))).toEqual([
      ...['cluster-gateway-1', 'cluster-gateway-2'],
      ...['redis-1', 'redis-2', 'redis-3', 'redis-4', 'redis-5', 'redis-6'],
      'make-cluster',
    ]);
  });

  test('leaves out the one Redis and its gateways, and nothing else', () => {
    expect(namesOf(ofProfile(defaultProfile))).toEqual(['gateway-1', 'gateway-2', 'shared-redis']);
    const left = namesOf(stackServices).filter((name) => !inCluster.has(name));
    expect(left).toEqual(namesOf(ofProfile(defaultProfile)));
  });

  test('has gateways that are those of the default but for Redis', () => {
    for (const [, gateway] of gateways) {
      expect({ ...gateway, profiles: [], aliases: [], depends_on: {}, environment: {} }).toEqual({
        ...single,
        ...{ profiles: [], aliases: [], depends_on: {}, environment: {} },
      });
      const { REDIS_URL, ...environment } = gateway.environment ?? {};
      expect({ ...environment, REDIS_URL: single.environment?.REDIS_URL }).toEqual(single.environment);
    }
  });

  test('names all nodes in REDIS_URL, and no other Redis', () => {
    for (const [, { environment }] of gateways) {
      const urls = (environment?.REDIS_URL ?? '').split(',');
      expect(urls).toEqual(nodes.map(([name]) => `redis://${name}:6379`));
    }
  });

  test('has gateways under the names that the balancer and Prometheus call', () => {
    const aliases = gateways.map(([, gateway]) => gateway.aliases);
    expect(aliases.map(({ edge }) => edge)).toEqual([['gateway-1'], ['gateway-2']]);
    expect(aliases.map(({ watch }) => watch)).toEqual([['gateway-1'], ['gateway-2']]);
  });

  test('starts in order: nodes, cluster, gateways, balancer', () => {
    expect(Object.keys(makeCluster.depends_on ?? {})).toEqual(namesOf(nodes));
    for (const [, { depends_on }] of gateways) expect(depends_on).toHaveProperty('make-cluster');
    // Of the balancer's gateways each profile starts only two.
    const before = Object.entries(compose.services.balancer?.depends_on ?? {});
    expect(namesOf(before)).toEqual(['gateway-1', 'gateway-2', ...namesOf(gateways)]);
    expect(before.filter(([, { required }]) => required !== false)).toEqual([]);
  });

  test('needs no service that it does not start', () => {
    for (const profile of [defaultProfile, 'cluster']) {
      const started = namesOf(servicesOf(profile));
      const needed = servicesOf(profile).flatMap(([, { depends_on = {} }]) =>
        Object.entries(depends_on).filter(([, { required }]) => required !== false),
      );
      expect(namesOf(needed).filter((name) => !started.includes(name))).toEqual([]);
    }
  });

  test('runs the newest phase', () => {
    for (const [, { build }] of gateways) expect(build?.args).toEqual({ PHASE: newestPhase.name });
  });
});

describe('a node', () => {
  const one = compose.services['shared-redis'] as ComposeService;

  test.each(nodes)('%s is the one Redis of the default but for the cluster', (_name, node) => {
    const { image, user, healthcheck, deploy, restart, networks } = one;
    expect(node).toMatchObject({ image, user, healthcheck, deploy, restart, networks });
    const words = node.command?.at(-1) ?? '';
    // Persistence is off, and the memory has a limit, as there.
    const options = one.command?.slice(1).map((word) => word || "''");
    expect(words).toContain(`exec redis-server ${options?.join(' ')} --cluster-enabled yes`);
    expect(words).toContain('--cluster-require-full-coverage no');
    expect(words).toMatch(/--cluster-node-timeout \d+ /);
  });

  test.each(nodes)('%s is known again after a start with another address', (_name, node) => {
    // A tmpfs is empty after each start.
    expect(node.tmpfs).toEqual([]);
    expect(node.volumes).toEqual(['/data']);
    // Compose reads $$ as $.
    expect(node.command?.at(-1)).toContain('--cluster-announce-ip "$$(hostname -i)"');
    // Otherwise hostname -i prints two addresses.
    expect(node.networks).toHaveLength(1);
  });
});

describe('make-cluster', () => {
  test('runs the script of the Kubernetes overlay with all nodes', () => {
    const script = './shared/stack/kubernetes/overlays/redis-cluster/make-cluster.sh';
    expect(makeCluster.volumes).toEqual([`${script}:/make-cluster.sh:ro`]);
    expect(makeCluster.command).toEqual(['sh', '/make-cluster.sh', ...nodes.map(([name]) => `${name}:6379`)]);
    // Alpine has no bash.
    expect(readText(join(root, script))).toMatch(/^#!\/bin\/sh\n/);
  });
});
