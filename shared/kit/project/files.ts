import { join } from 'node:path';
import { readPhaseFiles, readText } from '../../repository/phase-files.ts';
import { type Phase, root } from '../../repository/phases.ts';
import { cutLockfile } from './lockfile.ts';
import { findPackages, readManifest } from './packages.ts';
import { writeReadme } from './readme.ts';

// Prints a new key and its SHA-256, which the config of a gateway with clients needs.
const keyScript =
  "node -e \"const c = require('node:crypto'), k = 'gw_' + c.randomBytes(32).toString('base64url'); " +
  "console.log(k + '\\n' + c.createHash('sha256').update(k).digest('hex'))\"";

/** The files of a phase as a project of its own, by path, sorted. Texts have LF line ends. */
export function buildProject(phase: Phase): Map<string, string> {
  const files = readPhaseFiles(phase.folder);
  const packages = findPackages(phase, files);
  const repository = readManifest();
  const scripts = {
    start: 'node --import tsx server.ts',
    types: 'tsc --noEmit',
    ...([...files.values()].some((text) => text.includes('npm run key')) ? { key: keyScript } : {}),
  };
  const identity = { name: 'gateway', version: '1.0.0', license: 'MIT' };
  const lockfile = cutLockfile({ ...identity, ...packages, engines: repository.engines });
  const present = (name: string) => `node_modules/${name}` in lockfile.packages;
  const manifest = {
    ...identity,
    private: true,
    type: 'module',
    engines: repository.engines,
    scripts,
    ...packages,
    ...keepPresent('overrides', repository.overrides, present),
    ...keepPresent('allowScripts', repository.allowScripts, present),
  };
  const project = new Map([
    ...files,
    ['README.md', writeReadme(phase, files, Object.keys(scripts))],
    ['package.json', toJson(manifest)],
    ['package-lock.json', toJson(lockfile)],
    ['Dockerfile', writeDockerfile()],
    ['.dockerignore', 'node_modules/\n.git/\n'],
    ['.gitignore', 'node_modules/\n'],
    ...['.gitattributes', '.nvmrc', 'LICENSE'].map((name): [string, string] => [name, readRootFile(name)]),
  ]);
  return new Map([...project].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function keepPresent(
  field: string,
  values: Record<string, unknown> | undefined,
  present: (name: string) => boolean,
): Record<string, unknown> {
  const kept = Object.entries(values ?? {}).filter(([name]) => present(name));
  return kept.length > 0 ? { [field]: Object.fromEntries(kept) } : {};
}

function readRootFile(name: string): string {
  return readText(join(root, name));
}

function writeDockerfile(): string {
  return `FROM node:${readRootFile('.nvmrc').trim()}-slim
ENV NODE_ENV=production
# The default, 127.0.0.1, would be reachable from inside the container only.
ENV HOST=0.0.0.0
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev && npm cache clean --force
COPY . .
USER node
EXPOSE 3000
HEALTHCHECK CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 3000) + '/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--import", "tsx", "server.ts"]
`;
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
