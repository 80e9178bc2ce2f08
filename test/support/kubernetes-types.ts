import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../shared/repository/phases.ts';
import { checkTypes } from '../../shared/repository/type-check.ts';
import type { Manifest } from './kustomize.ts';

const types = join(root, 'node_modules', 'kubernetes-types').replaceAll('\\', '/');

/**
 * Compares objects with the types of Kubernetes 1.30, which are made from its published schema. As literals of
 * TypeScript they may have no unknown field. Returns the report of the compiler, '' when there is no error.
 */
export async function checkManifestTypes(manifests: Manifest[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-manifests-'));
  const statements = manifests.map((manifest, i) => {
    const { apiVersion, kind } = manifest;
    const group = apiVersion.includes('/') ? apiVersion.replace(/\.k8s\.io\//, '/') : `core/${apiVersion}`;
    const type = `import('${types}/${group}').${kind}`;
    return `export const n${i}: ${type} = ${JSON.stringify(manifest, null, 2)};`;
  });
  writeFileSync(join(folder, 'manifests.ts'), statements.join('\n'));
  const compilerOptions = {
    strict: true,
    module: 'esnext',
    moduleResolution: 'bundler',
    types: [],
    skipLibCheck: true,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  try {
    return await checkTypes(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
