import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { readText } from '../../shared/repository/phase-files.ts';
import { root } from '../../shared/repository/phases.ts';

/** The folder of the Kubernetes manifests. */
export const kubernetesFolder = join(root, 'shared', 'stack', 'kubernetes');

/** A Kubernetes object, with the fields that all of them have. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
}

interface Generator {
  name: string;
  envs?: string[];
  files?: string[];
}

interface Kustomization {
  apiVersion: string;
  kind: string;
  namespace: string;
  resources?: string[];
  configMapGenerator?: Generator[];
  secretGenerator?: Generator[];
}

/**
 * The objects of a kustomization, as `kubectl kustomize` prints them, but without the hash behind generated names, and
 * with plain texts in `stringData` of Secrets. Throws an Error for what it does not know, such as patches.
 */
export function buildManifests(folder: string): Manifest[] {
  const { apiVersion, kind, namespace, resources, configMapGenerator, secretGenerator, ...unknown } = parse(
    readText(join(folder, 'kustomization.yaml')),
  ) as Kustomization;
  if (kind !== 'Kustomization' || Object.keys(unknown).length > 0) {
    throw new Error(`${folder}: ${apiVersion} ${kind} has ${Object.keys(unknown)}`);
  }
  const read = (name: string) => readManifests(join(folder, name));
  const generate =
    (kind: string, field: string) =>
    (generator: Generator): Manifest => ({
      apiVersion: 'v1',
      kind,
      metadata: { name: generator.name },
      ...{ [field]: readData(folder, generator) },
    });
  const manifests = [
    ...(resources ?? []).flatMap(read),
    ...(configMapGenerator ?? []).map(generate('ConfigMap', 'data')),
    ...(secretGenerator ?? []).map(generate('Secret', 'stringData')),
  ];
  for (const { kind, metadata } of manifests) if (kind !== 'Namespace') metadata.namespace = namespace;
  return manifests;
}

function readManifests(path: string): Manifest[] {
  if (statSync(path).isDirectory()) return buildManifests(path);
  return parseAllDocuments(readText(path)).map((document) => document.toJS() as Manifest);
}

function readData(folder: string, { envs = [], files = [], ...unknown }: Generator): Record<string, string> {
  if (Object.keys(unknown).join() !== 'name') throw new Error(`A generator has ${Object.keys(unknown)}.`);
  const lines = envs.flatMap((name) => readText(join(folder, name)).split('\n'));
  const variables = lines.filter((line) => /^\w/.test(line)).map((line) => line.split(/=(.*)/s, 2));
  return Object.fromEntries([...variables, ...files.map((name) => [name, readText(join(folder, name))])]);
}

/** What `kubectl kustomize` prints for the folder, or null when kubectl is not on PATH. */
export function runKustomize(folder: string): Promise<Manifest[] | null> {
  return new Promise((resolve, reject) => {
    execFile('kubectl', ['kustomize', folder], (error, stdout, stderr) => {
      if (error?.code === 'ENOENT') resolve(null);
      else if (error) reject(new Error(stderr));
      else resolve(parseAllDocuments(stdout).map((document) => document.toJS() as Manifest));
    });
  });
}
