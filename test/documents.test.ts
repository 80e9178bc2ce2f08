import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { describe, expect, test } from 'vitest';
import { foreignFolders } from '../shared/recordings/copy.ts';
import { findFieldPaths, isField, listFields } from '../shared/repository/config-fields.ts';
import { formatErrata, parseErrata } from '../shared/repository/errata.ts';
import { readPhaseFiles, readText } from '../shared/repository/phase-files.ts';
import { listPhaseFolders, listPhases, root } from '../shared/repository/phases.ts';
import { scripts } from '../shared/repository/scripts.ts';
import {
  findAnchors,
  findCode,
  findFileNames,
  findLinks,
  findScripts,
  namesPath,
} from './support/document.ts';

const phases = listPhases();
const scriptNames = Object.keys(scripts);
const paths = listPaths(root);
const chapters = ['contract.md', 'config.md', 'errors.md', 'adding-a-phase.md'];
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  'shared/README.md',
  ...chapters.map((name) => `docs/${name}`),
  ...paths.filter((path) => /^docs\/.*\.md$/.test(path) && !chapters.includes(path.slice(5))),
  ...listPhaseFolders().map(({ name }) => `phases/${name}/README.md`),
];

const sources = phases.flatMap(({ folder }) =>
  [...readPhaseFiles(folder)].filter(([path]) => path.endsWith('.ts')).map(([, text]) => text),
);
const problems = [...new Set(sources.flatMap(findProblems))];
const newest = phases.at(-1)?.folder ?? '';
const demoConfig = JSON.parse(readText(join(newest, 'gateway.json')));
// The demo config has no optional field.
const optionalFields = ['$schema', 'rateLimit.keyPrefix'];
const fields = [...listFields(demoConfig), ...optionalFields];

for (const document of documents) {
  describe(document, () => {
    const file = join(root, document);
    const text = existsSync(file) ? readText(file) : '';
    const { spans, lines, json } = findCode(text);

    test('exists', () => {
      expect(text).not.toBe('');
    });

    test('names only scripts that package.json has', () => {
      const names = findScripts(text);
      expect(names.filter((name) => !scriptNames.some((script) => namesPath(name, script)))).toEqual([]);
    });

    test('links only to what exists', () => {
      expect(findLinks(text).filter((target) => !leadsSomewhere(file, target))).toEqual([]);
    });

    test('names only files that exist', () => {
      const names = findFileNames([...spans, ...lines]);
      // In recordings, absolute paths are paths on the reader's machine, and gateway-N.json are configs of the suites.
      const here = names.filter((name) => !/^\/|^gateway-\d+\.json$/.test(name));
      expect(here.filter((name) => !paths.some((path) => namesPath(name, path)))).toEqual([]);
    });

    test('names only problem types that a phase has', () => {
      const named = [...text.matchAll(/urn:gateway:problem:([a-z][\w-]*)/g)].map((match) => match[1] ?? '');
      expect(named.filter((name) => !problems.includes(name))).toEqual([]);
    });

    test('names only config fields that the newest phase has', () => {
      const named = [...findFieldPaths(spans, fields), ...json.flatMap(findConfigFields)];
      expect(named.filter((path) => !isField(path, fields))).toEqual([]);
    });
  });
}

describe('nothing is left out', () => {
  const codeOf = (document: string) => {
    const { spans, lines } = findCode(readText(join(root, document)));
    return [...spans, ...lines].join('\n');
  };

  test('docs/errors.md has every problem type of the phases', () => {
    const code = codeOf('docs/errors.md');
    expect(problems.length).toBeGreaterThan(5);
    expect(problems.filter((name) => !new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(code))).toEqual([]);
  });

  test('docs/config.md has every field of the config', () => {
    const code = codeOf('docs/config.md');
    const names = fields.map((field) => /(\w+)(?:\.\*)?$/.exec(field)?.[1] ?? field);
    expect(names.length).toBeGreaterThan(3);
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([]);
  });

  test('README.md names every phase', () => {
    const readme = readText(join(root, 'README.md'));
    expect(listPhaseFolders().filter(({ name }) => !readme.includes(name))).toEqual([]);
  });

  test('README.md or shared/README.md names every script of package.json', () => {
    const numbered = (name: string) => name.replace(/\d+$/, 'N');
    const read = ['README.md', 'shared/README.md'].map((document) => readText(join(root, document)));
    const named = read.flatMap(findScripts).map(numbered);
    expect(scriptNames.filter((name) => !named.includes(numbered(name)))).toEqual([]);
  });

  test('.editorconfig tells editors what biome.json says', () => {
    const { formatter } = JSON.parse(readText(join(root, 'biome.json')));
    const editor = readText(join(root, '.editorconfig'));
    const first = (name: string) => new RegExp(`^${name} = (.*)$`, 'm').exec(editor)?.[1];
    expect(first('indent_style')).toBe(formatter.indentStyle);
    expect(Number(first('indent_size'))).toBe(formatter.indentWidth);
    expect(Number(first('max_line_length'))).toBe(formatter.lineWidth);
  });

  test('phases/ERRATA.md is a list that npm run freeze can continue', () => {
    const text = readText(join(root, 'phases', 'ERRATA.md'));
    expect(formatErrata(parseErrata(text))).toBe(text);
  });

  test('every phase has its scripts in package.json', () => {
    const expected = phases.flatMap(({ number }) => [`phase:${number}`, `test:phase:${number}`]);
    expect(scriptNames).toEqual(expect.arrayContaining(expected));
  });
});

describe('what is found in a document', () => {
  const sample = [
    '# A `title` with (marks)',
    'Run `npm run phase:9 -- --port 1` or npm test, see [this](docs/a.md#b) and [that](https://x.y/z).',
    'It is `phases/9-none/server.ts`, `none.lua`, `routes[0].prefix` and `rateLimit.none`, not `fs.readFile`.',
    '```sh',
    'GATEWAY_CONFIG=test/none.json npm start -- my-gateway/server.ts workspace/none.ts TASK.md',
    '```',
    '```json',
    '{ "services": { "a": { "url": "x", "none": 1 } } }',
    '```',
  ].join('\n');
  const { spans, lines, json } = findCode(sample);

  test('scripts, links and anchors', () => {
    expect(findScripts(sample)).toEqual(['phase:9', 'test', 'start']);
    expect(findLinks(sample)).toEqual(['docs/a.md#b']);
    expect(findAnchors(sample)).toEqual(['a-title-with-marks']);
  });

  test('anchors as GitHub makes them: of no code, and numbered where a heading comes again', () => {
    const headings = ['## A_b: `c.d` – e', '```sh', '# no heading', '```', '## Same', '## Same'].join('\n');
    expect(findAnchors(headings)).toEqual(['a_b-cd--e', 'same', 'same-1']);
  });

  test('file names, but not those of the reader', () => {
    const found = ['phases/9-none/server.ts', 'none.lua', 'test/none.json'];
    expect(findFileNames([...spans, ...lines])).toEqual(found);
  });

  test('config fields', () => {
    const known = ['services', 'services.*', 'services.*.url', 'routes', 'routes[].prefix', 'rateLimit'];
    const found = [...findFieldPaths(spans, known), ...json.flatMap((block) => listFields(parse(block)))];
    expect(found.filter((path) => isField(path, known))).toEqual([
      'routes[0].prefix',
      'services',
      'services.*',
      'services.*.url',
    ]);
    expect(found.filter((path) => !isField(path, known))).toEqual(['rateLimit.none', 'services.*.none']);
  });

  test.each([
    ['npm', 'npm', true],
    ['server.ts', 'phases/1-routing/server.ts', true],
    ['erver.ts', 'phases/1-routing/server.ts', false],
    ['phases/N-name/server.ts', 'phases/1-routing/server.ts', true],
    ['phases/*/README.md', 'phases/1-routing/README.md', true],
    ['shared/contract/N-*/*.test.ts', 'shared/contract/1-routing/01-one-route.test.ts', true],
    ['phases/1-routing', 'phases/1-routing/server.ts', false],
    ['test:phase:N', 'test:phase:3', true],
  ])('%s names %s: %s', (name, path, expected) => {
    expect(namesPath(name, path)).toBe(expected);
  });
});

/** The files and folders of the repository, with `/`. */
function listPaths(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !foreignFolders.includes(name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      const name = relative(root, path).split(sep).join('/');
      return entry.isDirectory() ? [name, ...listPaths(path)] : [name];
    });
}

/** The problem names in a source: a literal after stage and status. Throws when a name is not a literal. */
function findProblems(source: string): string[] {
  return source
    .split(/\bnew Problem\(/)
    .slice(1)
    .map((made) => {
      const name = /^\s*'[\w-]+',\s*\d{3},\s*'([\w-]+)'/.exec(made)?.[1];
      if (name) return name;
      throw new Error(`Give stage, status and name as literals: new Problem(${made.slice(0, 60)}`);
    });
}

/** The field paths of a JSON block that shows (a part of) a config. */
function findConfigFields(json: string): string[] {
  const value = parse(json);
  const shown = listFields(value);
  return shown.some((field) => field in demoConfig) ? shown : [];
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function leadsSomewhere(from: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? from : resolve(dirname(from), path);
  if (!existsSync(file)) return false;
  return anchor === undefined || findAnchors(readText(file)).includes(anchor);
}
