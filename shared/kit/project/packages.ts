import { join } from 'node:path';
import { findImports, packageOf } from '../../repository/imports.ts';
import { readText } from '../../repository/phase-files.ts';
import { type Phase, root } from '../../repository/phases.ts';
import { CliError } from '../../terminal/cli-error.ts';

/** Package name to exact version. */
export type Versions = Record<string, string>;

interface Manifest {
  dependencies: Versions;
  devDependencies: Versions;
  engines: Record<string, string>;
  overrides?: Record<string, unknown>;
  allowScripts?: Record<string, boolean>;
}

/** The package.json of the repository. */
export function readManifest(): Manifest {
  return JSON.parse(readText(join(root, 'package.json')));
}

/** The packages that a phase imports, tsx to run it, and what its types need, in the versions of the repository. */
export function findPackages(
  phase: Phase,
  files: Map<string, string>,
): { dependencies: Versions; devDependencies: Versions } {
  const { dependencies, devDependencies } = readManifest();
  const imported = [...files]
    .filter(([path]) => path.endsWith('.ts'))
    .flatMap(([, text]) => findImports(text).flatMap((specifier) => packageOf(specifier) ?? []));
  const unknown = imported.find((name) => !(name in dependencies));
  if (unknown !== undefined) {
    throw new CliError(`${phase.name} imports "${unknown}", which is not a dependency in package.json.`);
  }
  const types = imported.map((name) => `@types/${name}`).filter((name) => name in devDependencies);
  return {
    dependencies: pick(dependencies, [...imported, 'tsx']),
    devDependencies: pick(devDependencies, ['@types/node', 'typescript', ...types]),
  };
}

function pick(versions: Versions, names: string[]): Versions {
  const sorted = [...new Set(names)].sort();
  return Object.fromEntries(sorted.flatMap((name) => (versions[name] ? [[name, versions[name]]] : [])));
}
