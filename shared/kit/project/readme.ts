import {
  findLead,
  findSections,
  type Page,
  parseMarkdown,
  sourceOf,
  titleOf,
  unlink,
} from '../../repository/markdown.ts';
import type { Phase } from '../../repository/phases.ts';

/** An environment variable of the gateway. */
interface Variable {
  default: string;
  meaning: string;
}

// The environment variables of docs/contract.md, in one line each. A project lists those that its code reads.
const variables: Record<string, Variable> = {
  PORT: { default: '3000', meaning: 'where to listen' },
  HOST: { default: '127.0.0.1', meaning: 'the address to listen on' },
  GATEWAY_CONFIG: { default: '`gateway.json`', meaning: 'path of the config file' },
  GATEWAY_NAME: { default: 'random', meaning: 'the name in `Via`, the same for all instances' },
  REDIS_URL: { default: 'unset', meaning: '`redis://` or `rediss://`; unset: counters in this one process' },
  DRAIN_DELAY_MS: { default: '0', meaning: 'ms between a signal to stop and the closed listener' },
  KEEP_ALIVE_TIMEOUT_MS: { default: '72000', meaning: 'ms that an idle connection of a client stays open' },
  LOG_LEVEL: { default: 'info', meaning: 'fatal, error, warn, info, debug, trace or silent' },
  ADMIN_HOST: { default: '127.0.0.1', meaning: 'the address of the admin listener' },
  ADMIN_PORT: { default: '9464', meaning: 'the port of the admin listener' },
  OTEL_EXPORTER_OTLP_ENDPOINT: { default: 'unset', meaning: 'a collector of OpenTelemetry, for spans' },
};

// Sections about this repository, which do not apply to the project.
const leftOut = /^(?:Try it|What changed|Ten ways)/;

/** The README of a phase as a project of its own, with the sections of the phase's README that also apply to it. */
export function writeReadme(phase: Phase, files: Map<string, string>, scripts: string[]): string {
  const page: Page = { path: `phases/${phase.name}/README.md`, text: files.get('README.md') ?? '' };
  const sections = findSections(page).filter(({ title }) => !leftOut.test(title));
  const diagram = parseMarkdown(page.text).children.find(
    (block) => block.type === 'code' && block.lang === 'text',
  );
  const parts = [
    `# Gateway: ${titleOf(phase)}`,
    findLead(page),
    diagram ? sourceOf(page.text, [diagram]) : '',
    startSection(files, scripts),
    ...sections.map(({ title, text }) => `## ${title}\n\n${text}`),
  ];
  return `${tidy(parts.join('\n\n'), scripts)}\n`;
}

/** The environment variables that the code reads: those of its schema, or, in phase 0, those of its only file. */
export function findVariables(files: Map<string, string>): string[] {
  const config = files.get('config.ts');
  if (config !== undefined)
    return [...config.matchAll(/^ +([A-Z][A-Z_]+): z\b/gm)].map((match) => match[1] ?? '');
  const [, names = ''] = /^const \{ (.+) \} = process\.env;$/m.exec(files.get('server.ts') ?? '') ?? [];
  return names.split(', ');
}

function startSection(files: Map<string, string>, scripts: string[]): string {
  const rows = findVariables(files).map((name) => {
    const { default: value, meaning } = variables[name] ?? { default: '', meaning: '' };
    return `| \`${name}\` | ${value} | ${meaning} |`;
  });
  const keys = scripts.includes('key')
    ? '\n\nThe keys of the demo config are `demo-mobile-app-key` and `demo-partner-web-key`. `npm run key` prints a new key and its SHA-256; the config holds the SHA-256.'
    : '';
  return `## Start

\`\`\`sh
npm install
npm start
\`\`\`

It listens on http://127.0.0.1:3000; \`GET /health\` answers 200 when it is ready. Enter the addresses of your services in \`gateway.json\`.${keys}

| variable | default | meaning |
|---|---|---|
${rows.join('\n')}

In a container:

\`\`\`sh
docker build -t my-gateway .
docker run --rm -p 3000:3000 my-gateway
\`\`\`

In the container, 127.0.0.1 is the container itself: \`gateway.json\` must have addresses that can be reached from there.`;
}

/** Removes what refers to this repository: links to its files, and blocks that call its scripts. */
function tidy(text: string, scripts: string[]): string {
  const callsForeign = (block: string) =>
    [...block.matchAll(/\bnpm run ([\w:-]+)/g)].some(([, name = '']) => !scripts.includes(name));
  const kept = parseMarkdown(text)
    .children.map((block) => sourceOf(text, [block]))
    .filter((block) => !callsForeign(block) && !block.startsWith('<!--'));
  return unlink(kept.join('\n\n'));
}
