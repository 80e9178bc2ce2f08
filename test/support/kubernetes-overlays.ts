import { join } from 'node:path';
import type { Deployment, StatefulSet } from 'kubernetes-types/apps/v1.js';
import type { HorizontalPodAutoscaler } from 'kubernetes-types/autoscaling/v2.js';
import type { CronJob } from 'kubernetes-types/batch/v1.js';
import type { ConfigMap, Container, Namespace, Secret, Service } from 'kubernetes-types/core/v1.js';
import type { NetworkPolicy } from 'kubernetes-types/networking/v1.js';
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js';
import { buildManifests, kubernetesFolder, type Manifest } from './kustomize.ts';
import { type Pod, podsOf } from './pods.ts';

/** The kinds that the overlays use. */
interface Kinds {
  ConfigMap: ConfigMap;
  CronJob: CronJob;
  Deployment: Deployment;
  HorizontalPodAutoscaler: HorizontalPodAutoscaler;
  Namespace: Namespace;
  NetworkPolicy: NetworkPolicy;
  PodDisruptionBudget: PodDisruptionBudget;
  Secret: Secret;
  Service: Service;
  StatefulSet: StatefulSet;
}

/** Both overlays, with their objects and pods. */
export const overlays = ['single-redis', 'redis-cluster'].map((name) => {
  const folder = join(kubernetesFolder, 'overlays', name);
  const manifests = buildManifests(folder);
  return { name, folder, manifests, pods: podsOf(manifests) };
});

/** The overlay with one Redis, and the one with a Redis Cluster. */
export const [singleRedis, redisCluster] = overlays as [(typeof overlays)[0], (typeof overlays)[0]];

/** The objects of a kind. */
export function all<Kind extends keyof Kinds>(
  manifests: Manifest[],
  kind: Kind,
): Array<Kinds[Kind] & Manifest> {
  return manifests.filter((manifest) => manifest.kind === kind) as Array<Kinds[Kind] & Manifest>;
}

/** The object of a kind that has this name. Throws an Error when there is none. */
export function find<Kind extends keyof Kinds>(
  manifests: Manifest[],
  kind: Kind,
  name: string,
): Kinds[Kind] & Manifest {
  const found = all(manifests, kind).find(({ metadata }) => metadata.name === name);
  if (!found) throw new Error(`There is no ${kind} ${name}.`);
  return found;
}

/** The pods of a workload, such as `StatefulSet redis-cluster`. Throws an Error when there is none. */
export function podOf(pods: Pod[], owner: string): Pod {
  const found = pods.find((pod) => pod.owner === owner);
  if (!found) throw new Error(`There are no pods of ${owner}.`);
  return found;
}

/** The number of the port that has this name in the container. */
export function portOf(container: Container, name: string): number | undefined {
  return container.ports?.find((port) => port.name === name)?.containerPort;
}
