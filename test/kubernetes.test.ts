import { join } from 'node:path';
import type { Secret } from 'kubernetes-types/core/v1.js';
import { describe, expect, test } from 'vitest';
import { readText } from '../shared/repository/phase-files.ts';
import { root } from '../shared/repository/phases.ts';
import { compose } from './support/compose-file.ts';
import { all, find, overlays, podOf, portOf, redisCluster } from './support/kubernetes-overlays.ts';
import { checkManifestTypes } from './support/kubernetes-types.ts';
import { type Manifest, runKustomize } from './support/kustomize.ts';
import { mayConnect } from './support/network-policies.ts';
import { type Pod, selects } from './support/pods.ts';

describe.each(overlays)('the overlay $name', ({ folder, manifests, pods }) => {
  test('is what kubectl makes of it', async () => {
    const printed = await runKustomize(folder);
    if (!printed) return console.log('Not compared with kubectl kustomize: kubectl is not on PATH.');
    // kubectl writes a hash behind generated names, also where they are used, and encodes Secrets.
    const text = JSON.stringify(printed).replaceAll(/"([a-z-]+)-[2456789bcdfghkmt]{10}"/g, '"$1"');
    const decoded = (JSON.parse(text) as Manifest[]).map((manifest) => {
      if (manifest.kind !== 'Secret') return manifest;
      const { data, type: _type, ...rest } = manifest as Secret & Manifest;
      const values = Object.entries(data ?? {}).map(([key, value]) => [
        key,
        Buffer.from(value, 'base64').toString(),
      ]);
      return { ...rest, stringData: Object.fromEntries(values) };
    });
    const sortKey = ({ kind, metadata }: Manifest) => `${kind} ${metadata.name}`;
    const sorted = (list: Manifest[]) => [...list].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
    expect(sorted(decoded)).toEqual(sorted(manifests));
  });

  test('has only fields that Kubernetes knows, and all that it needs', async () => {
    expect(await checkManifestTypes(manifests)).toBe('');
  });

  test('has one namespace, which allows only restricted pods', () => {
    const [{ metadata }, ...more] = all(manifests, 'Namespace') as [Manifest];
    expect(more).toEqual([]);
    expect(metadata.labels).toEqual({ 'pod-security.kubernetes.io/enforce': 'restricted' });
    const others = manifests.filter(({ kind }) => kind !== 'Namespace');
    expect(new Set(others.map((other) => other.metadata.namespace))).toEqual(new Set([metadata.name]));
  });

  describe.each(pods)('$owner', ({ spec, container }) => {
    test('runs without root, capabilities, a writable disk or a token', () => {
      expect(spec).toMatchObject({
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      });
      // Images name their users, and the kubelet checks only numbers.
      expect(spec.securityContext?.runAsUser).toBeGreaterThan(0);
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    });

    test('is pinned to a whole version, and has requests and limits', () => {
      const { version } = JSON.parse(readText(join(root, 'package.json')));
      const ours = ['phased-gateway', 'phased-gateway-services'].map((name) => `${name}:${version}`);
      expect([...ours, compose.services['shared-redis']?.image]).toContain(container.image);
      const amounts = { cpu: expect.any(String), memory: expect.any(String) };
      expect(container.resources).toEqual({ requests: amounts, limits: amounts });
    });

    test('writes only to volumes', () => {
      const mounts = container.volumeMounts?.map(({ name, readOnly }) => [name, readOnly]) ?? [];
      const claims = all(manifests, 'StatefulSet').flatMap((set) => set.spec?.volumeClaimTemplates ?? []);
      for (const [name, readOnly] of mounts) {
        const volume = spec.volumes?.find((one) => one.name === name);
        if (volume?.emptyDir) expect(volume.emptyDir.sizeLimit).toMatch(/^\d+Mi$/);
        else if (volume) expect(readOnly).toBe(true);
        else expect(claims.map(({ metadata }) => metadata?.name)).toContain(name);
      }
      if (container.image?.startsWith('phased-gateway')) expect(mounts).toContainEqual(['tmp', undefined]);
      else if (container.ports) expect(mounts).toContainEqual(['data', undefined]);
    });

    test('finds its ConfigMaps and Secrets', () => {
      const data = (kind: 'ConfigMap' | 'Secret', name = '') => {
        const { stringData, data: plain } = find(manifests, kind, name) as Secret;
        return Object.keys(stringData ?? plain ?? {});
      };
      for (const { valueFrom } of container.env ?? []) {
        const secret = valueFrom?.secretKeyRef;
        if (secret) expect(data('Secret', secret.name)).toContain(secret.key);
      }
      for (const { configMapRef } of container.envFrom ?? []) data('ConfigMap', configMapRef?.name);
      for (const { configMap, secret } of spec.volumes ?? []) {
        if (configMap) data('ConfigMap', configMap.name);
        if (secret) data('Secret', secret.secretName);
      }
    });

    test('has probes on ports that it has', () => {
      const { startupProbe, livenessProbe, readinessProbe, ports = [] } = container;
      for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
        if (probe?.httpGet) expect(ports.map(({ name }) => name)).toContain(probe.httpGet.port);
      }
      if (ports.length > 0) expect(readinessProbe).toBeDefined();
    });
  });

  test('has Services, budgets and policies for pods that exist, and for each', () => {
    const selected = (selector: Record<string, string> = {}) =>
      pods.filter(({ labels }) => selects({ matchLabels: selector }, labels));
    for (const { spec } of all(manifests, 'Service')) {
      const [pod] = selected(spec?.selector) as [Pod];
      for (const { targetPort } of spec?.ports ?? []) {
        expect(portOf(pod.container, String(targetPort)), String(targetPort)).toBeDefined();
      }
      // One Service that mixes two kinds of pods would send requests to the wrong one.
      expect(selected(spec?.selector)).toHaveLength(1);
    }
    for (const { spec } of all(manifests, 'PodDisruptionBudget')) {
      expect(selected(spec?.selector?.matchLabels)).toHaveLength(1);
      expect(spec?.maxUnavailable).toBe(1);
    }
    const policies = all(manifests, 'NetworkPolicy').map(({ spec }) => spec?.podSelector.matchLabels);
    expect(policies.filter((labels) => selected(labels).length === 0)).toEqual([]);
    const specific = policies.filter((labels) => labels);
    for (const { labels, owner } of pods) {
      expect(
        specific.some((one) => selects({ matchLabels: one }, labels)),
        owner,
      ).toBe(true);
    }
    for (const workload of [...all(manifests, 'Deployment'), ...all(manifests, 'StatefulSet')]) {
      const { labels } = podOf(pods, `${workload.kind} ${workload.metadata.name}`);
      expect(selects(workload.spec?.selector ?? {}, labels)).toBe(true);
      for (const { labelSelector } of workload.spec?.template.spec?.topologySpreadConstraints ?? []) {
        expect(selected(labelSelector?.matchLabels)).toHaveLength(1);
      }
    }
  });

  test('has one password, in all URLs, and only in the Secret', () => {
    const { password = '', url = '' } = find(manifests, 'Secret', 'redis').stringData ?? {};
    expect(url.split(',').map((one) => new URL(one).password)).toEqual(url.split(',').map(() => password));
    const others = manifests.filter(({ kind }) => kind !== 'Secret');
    expect(JSON.stringify(others)).not.toContain(password);
    const redis = pods.filter(({ labels }) => labels['app.kubernetes.io/name'] === 'redis');
    for (const { container } of redis) {
      const args = container.args ?? [];
      expect(args[args.indexOf('--requirepass') + 1]).toBe('$(REDISCLI_AUTH)');
    }
  });

  describe('lets through the network', () => {
    const outside = (namespace: string, labels: Record<string, string>): Pod => {
      const namespaceLabels = { 'kubernetes.io/metadata.name': namespace };
      return { owner: namespace, labels, namespaceLabels, spec: { containers: [] }, container: { name: '' } };
    };
    const dns = outside('kube-system', { 'k8s-app': 'kube-dns' });
    const prometheus = outside('monitoring', { 'app.kubernetes.io/name': 'prometheus' });
    const caller = outside('ingress-nginx', {});
    const pod = (owner: string) => podOf(pods, owner);
    const redis = pods.find(({ labels }) => labels['app.kubernetes.io/name'] === 'redis') as Pod;
    const { container } = pod('Deployment gateway');
    const [publicPort, adminPort] = ['public', 'admin'].map((name) => portOf(container, name) ?? 0) as [
      number,
      number,
    ];

    test('all that a request needs', () => {
      const from = pod('Deployment gateway');
      expect(mayConnect(manifests, caller, from, publicPort)).toBe(true);
      expect(mayConnect(manifests, prometheus, from, adminPort)).toBe(true);
      for (const protocol of ['UDP', 'TCP'] as const)
        expect(mayConnect(manifests, from, dns, 53, protocol)).toBe(true);
      expect(mayConnect(manifests, from, redis, 6379)).toBe(true);
      for (const name of ['inventory', 'orders']) {
        const to = pod(`Deployment ${name}`);
        expect(mayConnect(manifests, from, to, portOf(to.container, 'http') ?? 0)).toBe(true);
      }
    });

    test('and nothing else', () => {
      const from = pod('Deployment gateway');
      expect(mayConnect(manifests, caller, from, adminPort)).toBe(false);
      expect(mayConnect(manifests, outside('monitoring', {}), from, adminPort)).toBe(false);
      expect(mayConnect(manifests, from, caller, 443)).toBe(false);
      expect(mayConnect(manifests, from, outside('kube-system', {}), 53, 'UDP')).toBe(false);
      const services = [pod('Deployment inventory'), pod('Deployment orders')];
      for (const to of [redis, ...services]) {
        const port = to.container.ports?.[0]?.containerPort ?? 0;
        expect(mayConnect(manifests, caller, to, port)).toBe(false);
        for (const service of services) expect(mayConnect(manifests, service, to, port)).toBe(false);
        expect(mayConnect(manifests, to, from, publicPort), to.owner).toBe(false);
      }
    });
  });
});

describe('the check of types', () => {
  test.each([
    [
      'a misspelt field',
      '"terminationGracePeriodSeconds"',
      '"terminationGracePeriodSecond"',
      'terminationGracePeriodSecond',
    ],
    ['a text for a number', '"failureThreshold":60', '"failureThreshold":"60"', "'string' is not assignable"],
    ['a missing field', '"serviceName":"redis-cluster",', '', 'serviceName'],
    ['another version', '"autoscaling/v2"', '"autoscaling/v1"', 'metrics'],
  ])('finds %s', async (_what, from, to, message) => {
    const text = JSON.stringify(redisCluster.manifests);
    expect(text).toContain(from);
    expect(await checkManifestTypes(JSON.parse(text.replace(from, to)))).toContain(message);
  });
});
