import { describe, expect, test } from 'vitest';
import { compose } from './support/compose-file.ts';
import { find, podOf, portOf, redisCluster, singleRedis } from './support/kubernetes-overlays.ts';
import { mayConnect } from './support/network-policies.ts';
import { selects } from './support/pods.ts';

describe('the one Redis', () => {
  const { container } = podOf(singleRedis.pods, 'Deployment redis');

  test('has the options of the stack, and a password', () => {
    const words = compose.services['shared-redis']?.command ?? [];
    expect(container.args).toEqual([...words, '--requirepass', '$(REDISCLI_AUTH)']);
    expect(find(singleRedis.manifests, 'Deployment', 'redis').spec).toMatchObject({
      replicas: 1,
      strategy: { type: 'Recreate' },
    });
  });

  test('is where REDIS_URL leads', () => {
    const { hostname, port } = new URL(find(singleRedis.manifests, 'Secret', 'redis').stringData?.url ?? '');
    expect(
      find(singleRedis.manifests, 'Service', hostname).spec?.ports?.map((one) => String(one.port)),
    ).toEqual([port]);
  });
});

describe('the Redis Cluster', () => {
  const { manifests, pods } = redisCluster;
  const { spec } = find(manifests, 'StatefulSet', 'redis-cluster');
  const { container, labels } = podOf(pods, 'StatefulSet redis-cluster');
  const service = find(manifests, 'Service', spec?.serviceName ?? '');
  const nodes = Array.from(
    { length: spec?.replicas ?? 0 },
    (_, i) => `redis-cluster-${i}.redis-cluster:6379`,
  );
  const script = podOf(pods, 'CronJob make-cluster');

  test('has six nodes with the options of the stack, and a password', () => {
    expect(nodes).toHaveLength(6);
    const words = (compose.services['redis-1']?.command?.at(-1) ?? '')
      .replaceAll("''", '""')
      .trim()
      .split(' ')
      .slice(1);
    const ofStack = words
      .map((word) => word.replaceAll('"', ''))
      .slice(0, words.indexOf('--cluster-announce-ip'));
    const keys = ['--requirepass', '--masterauth'].flatMap((name) => [name, '$(REDISCLI_AUTH)']);
    const announced = ['--cluster-announce-ip', '$(POD_IP)'];
    expect([...(container.args ?? [])].sort()).toEqual([...ofStack, ...keys, ...announced].sort());
  });

  test('has nodes that stay the same when a pod gets another address', () => {
    // Without persistence nothing else is on the disk.
    expect(spec?.volumeClaimTemplates?.map(({ metadata }) => metadata?.name)).toEqual(['data']);
    expect(container.volumeMounts).toEqual([{ name: 'data', mountPath: '/data' }]);
    expect(container.env).toContainEqual({
      name: 'POD_IP',
      valueFrom: { fieldRef: { fieldPath: 'status.podIP' } },
    });
  });

  test('has names for nodes that are not ready', () => {
    expect(service.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
    expect(selects({ matchLabels: service.spec?.selector }, labels)).toBe(true);
    expect(spec?.podManagementPolicy).toBe('Parallel');
  });

  test('is made of all nodes, which REDIS_URL names, by the script of the stack', () => {
    const { url = '' } = find(manifests, 'Secret', 'redis').stringData ?? {};
    expect(url.split(',').map((one) => new URL(one).host)).toEqual(nodes);
    const [mount] = script.container.volumeMounts ?? [];
    const [file] = Object.keys(find(manifests, 'ConfigMap', 'make-cluster').data ?? {});
    expect(script.container.args).toEqual(['sh', `${mount?.mountPath}/${file}`, ...nodes]);
    expect(compose.services['make-cluster']?.volumes?.join()).toContain(`/redis-cluster/${file}:`);
  });

  test('is mended by one run at a time, which has the time to end by itself', () => {
    const job = find(manifests, 'CronJob', 'make-cluster').spec;
    expect(job).toMatchObject({ concurrencyPolicy: 'Forbid', startingDeadlineSeconds: expect.any(Number) });
    expect(job?.jobTemplate.spec?.backoffLimit).toBe(0);
    expect(script.spec.restartPolicy).toBe('Never');
  });

  test('reaches the bus of the nodes, which no other pod does', () => {
    const node = podOf(pods, 'StatefulSet redis-cluster');
    const bus = portOf(container, 'bus') ?? 0;
    expect(bus).toBe((portOf(container, 'redis') ?? 0) + 10_000);
    for (const port of [6379, bus]) expect(mayConnect(manifests, node, node, port)).toBe(true);
    const dns = {
      ...node,
      namespaceLabels: { 'kubernetes.io/metadata.name': 'kube-system' },
      labels: { 'k8s-app': 'kube-dns' },
    };
    for (const protocol of ['UDP', 'TCP'] as const)
      expect(mayConnect(manifests, script, dns, 53, protocol)).toBe(true);
    expect(mayConnect(manifests, script, node, 6379)).toBe(true);
    for (const from of [script, podOf(pods, 'Deployment gateway')]) {
      expect(mayConnect(manifests, from, node, bus)).toBe(false);
    }
  });
});
