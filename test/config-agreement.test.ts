import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { unsaidRules } from '../shared/config/beyond-zod.ts';
import { readText } from '../shared/repository/phase-files.ts';
import { listPhases, root } from '../shared/repository/phases.ts';
import { collectContractConfigs } from './support/contract-configs.ts';
import { judgeConfig, loadJudges } from './support/judged-config.ts';

// The JSON Schema of a phase and its code must find the same mistakes in the same fields.

const folder = mkdtempSync(join(tmpdir(), 'gateway-agreement-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const phases = listPhases();
const fromFiles = [
  'shared/stack/gateway.json',
  ...readdirSync(join(root, 'docs', 'examples')).map((name) => `docs/examples/${name}`),
  ...phases.map(({ name }) => `phases/${name}/gateway.json`),
].map((path) => readText(join(root, path)));
const fromSuites = await collectContractConfigs();

// `undefined` is a missing field.
const edges: unknown[] = [
  ...[undefined, null, true, 0, -1, 1, 1.5, 86_400_001, 2 ** 53],
  ...['', 'public', 'anonymous', '/health', 'http://a', '::1', '10.0.0.0/33', 'a'.repeat(64), 'a'.repeat(65)],
  ...[[], [[]], {}, { a: 1 }, { url: 'http://a', timeoutMs: 1 }],
];

describe.each(await Promise.all(phases.map(loadJudges)))('phase $phase.number', (judges) => {
  const { number } = judges.phase;
  const texts = [...new Set([...fromSuites.map(({ text }) => text), ...fromFiles])];
  const judgements = texts.map((text) => judgeConfig(judges, text, folder));

  test('has good and bad configs in its suite and in files', () => {
    expect(fromSuites.filter(({ level }) => level === number).length).toBeGreaterThan(0);
    expect(judgements.filter(({ accepted }) => accepted).length).toBeGreaterThan(0);
    expect(judgements.filter(({ accepted }) => !accepted).length).toBeGreaterThan(20);
  });

  test('accepts no field that its schema refuses', () => {
    expect(judgements.flatMap(({ onlySchema }) => onlySchema)).toEqual([]);
  });

  test('refuses no field that its schema accepts, except by a rule that no schema can express', () => {
    expect(judgements.flatMap(({ onlyPhase }) => onlyPhase)).toEqual([]);
  });

  test('has no such rule that no config breaks', () => {
    const broken = new Set(judgements.flatMap(({ unsaid }) => unsaid));
    expect(unsaidRules.filter((rule) => rule.phase <= number && !broken.has(rule))).toEqual([]);
  });

  const demo = JSON.parse(readText(join(judges.phase.folder, 'gateway.json')));
  const places = listPlaces(demo);
  const judgeWith = (place: Place, value: unknown) => {
    const config = structuredClone(demo);
    set(config, place, value);
    return judgeConfig(judges, JSON.stringify(config), folder);
  };
  const agreement = { onlySchema: [], onlyPhase: [] };

  test.each(edges.map((value) => ({ value })))(
    'agrees with its schema when any one value is $value',
    ({ value }) => {
      for (const place of places) expect(judgeWith(place, value), place.join('.')).toMatchObject(agreement);
    },
  );

  test('agrees with its schema when any one value is random', () => {
    fc.assert(
      fc.property(fc.constantFrom(...places), anyValue, (place, value) => {
        expect(judgeWith(place, value)).toMatchObject(agreement);
      }),
      { numRuns: 1_000 },
    );
  });
});

// Random values of every type, and texts near those that a field accepts.
const anyText = fc.oneof(
  fc.string(),
  fc.webUrl(),
  fc.stringMatching(/^[\t\n ]{0,2}[Hh][Tt]{2}[Pp]s?:[/\\]{0,3}[a-z:@/?#.[\]%]{0,12}$/),
  fc.stringMatching(/^(?:\/[\w.~-]{0,3}){0,3}\/?$/),
  fc
    .tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.stringMatching(/^(?:\/\d{0,3})?$/))
    .map((parts) => parts.join('')),
  fc.constantFrom(
    '\u0001http://a',
    '/health',
    'anonymous',
    'public',
    'protected',
    'allow',
    'reject',
    'f'.repeat(64),
  ),
);
const anyValue = fc.oneof(
  anyText,
  fc.oneof(fc.nat({ max: 99 }), fc.integer(), fc.double(), fc.maxSafeInteger(), fc.boolean()),
  fc.constantFrom(undefined, null, [], {}, 2 ** 53),
  fc.array(anyText),
);

type Place = Array<string | number>;

/** The places of all values in a config, and one unknown or optional field in each object and list. */
function listPlaces(value: unknown, place: Place = []): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  const items: Array<[string | number, unknown]> = Array.isArray(value)
    ? [...value.entries(), [value.length, undefined]]
    : [...Object.entries(value), ['other', undefined]];
  const own = items.flatMap(([key, item]) => [[...place, key], ...listPlaces(item, [...place, key])]);
  if (place.length === 0) own.push(['$schema']);
  if (place.join() === 'services') own.push([...place, 'two words'], [...place, 'a'.repeat(65)]);
  if (place.join() === 'rateLimit') own.push([...place, 'keyPrefix']);
  return own;
}

function set(config: unknown, place: Place, value: unknown): void {
  const holder = place.slice(0, -1).reduce((object, key) => (object as never)?.[key], config);
  if (typeof holder === 'object' && holder !== null)
    Object.assign(holder, { [place.at(-1) as string]: value });
}
