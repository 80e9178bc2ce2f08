import type { CronJob } from 'kubernetes-types/batch/v1.js';
import type { Container, PodSpec } from 'kubernetes-types/core/v1.js';
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';
import type { Manifest } from './kustomize.ts';

/** The pods of one workload. */
export interface Pod {
  /** The workload, such as `StatefulSet redis-cluster`. */
  owner: string;
  labels: Record<string, string>;
  /** The labels of the namespace, for pods outside of these manifests. */
  namespaceLabels?: Record<string, string>;
  spec: PodSpec;
  /** The only one. */
  container: Container;
}

interface Workload {
  spec: { template: { metadata: { labels: Record<string, string> }; spec: PodSpec } };
}

/** The pods that the objects make. */
export function podsOf(manifests: Manifest[]): Pod[] {
  return manifests.flatMap((manifest) => {
    const template = templateOf(manifest);
    if (!template) return [];
    const [container, ...more] = template.spec.containers as [Container];
    const owner = `${manifest.kind} ${manifest.metadata.name}`;
    if (more.length > 0) throw new Error(`${owner} has several containers.`);
    return [{ owner, labels: template.metadata.labels, spec: template.spec, container }];
  });
}

function templateOf(manifest: Manifest): Workload['spec']['template'] | undefined {
  if (manifest.kind === 'CronJob') {
    return (manifest as CronJob).spec?.jobTemplate.spec?.template as Workload['spec']['template'];
  }
  const { spec } = manifest as Manifest & Partial<Workload>;
  return ['Deployment', 'StatefulSet'].includes(manifest.kind) ? spec?.template : undefined;
}

/** Whether a selector with `matchLabels` selects these labels. An empty one selects all. */
export function selects(
  { matchLabels = {}, ...unknown }: LabelSelector,
  labels: Record<string, string>,
): boolean {
  if (Object.keys(unknown).length > 0) throw new Error(`A selector has ${Object.keys(unknown)}.`);
  return Object.entries(matchLabels).every(([name, value]) => labels[name] === value);
}
