import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { extraKeywords, unsaidRules } from '../shared/config/beyond-zod.ts';
import { fieldExamples } from '../shared/config/field-examples.ts';
import { readFieldTable } from '../shared/config/field-table.ts';
import { listSchemaFields, schemaPath, writeSchema } from '../shared/config/json-schema.ts';
import { readText } from '../shared/repository/phase-files.ts';
import { listPhases, root } from '../shared/repository/phases.ts';

const phases = listPhases();
const rows = readFieldTable();
const readSchema = (path: string) => JSON.parse(readText(join(root, path)));
const newest = listSchemaFields(readSchema(schemaPath(phases.at(-1) ?? { number: 0, name: '', folder: '' })));

describe.each(phases)('the schema of $name', (phase) => {
  const file = join(root, schemaPath(phase));

  test('is as npm run schema writes it', async () => {
    const text = existsSync(file) ? readText(file) : '';
    expect(text === (await writeSchema(phase)), 'Next: npm run schema').toBe(true);
  });

  test('has exactly the fields that docs/config.md has for the phase, each with its words', () => {
    const fields = listSchemaFields(readSchema(schemaPath(phase))).filter(([path]) => !path.endsWith('[]'));
    const described = rows.filter((row) => row.phase <= phase.number);
    expect(fields.map(([path]) => path).toSorted()).toEqual(described.map(({ field }) => field).toSorted());
    expect(new Map(fields.map(([path, { description }]) => [path, description]))).toEqual(
      new Map(described.map(({ field, meaning, range }) => [field, `${meaning}\n${range}`])),
    );
  });

  test('lists the rules that it leaves out', () => {
    const { title, description } = readSchema(schemaPath(phase));
    expect(title).toContain(`phase ${phase.number}`);
    for (const { rule, phase: first } of unsaidRules)
      expect(description.includes(rule), rule).toBe(first <= phase.number);
  });
});

test('docs/schema has no other file', () => {
  const names = readdirSync(join(root, 'docs', 'schema')).map((name) => `docs/schema/${name}`);
  expect(names.toSorted()).toEqual(phases.map(schemaPath).toSorted());
});

test('every field with a single value, or a list of them, has examples that its schema accepts', () => {
  const single = newest.filter(([path, { type, items }]) => {
    const isList = type === 'array' && items?.type !== 'object';
    return !path.endsWith('[]') && type !== 'object' && (type !== 'array' || isList);
  });
  expect(single.filter(([, { examples }]) => !Array.isArray(examples)).map(([path]) => path)).toEqual([]);
  for (const [path, field] of single) {
    const accepts = new Ajv2020().compile(field);
    const bad = (field.examples as unknown[]).filter((example) => !accepts(example));
    expect(bad, path).toEqual([]);
  }
});

test('no example and no keyword is for a field that does not exist', () => {
  const paths = newest.map(([path]) => path);
  const named = [...Object.keys(fieldExamples), ...Object.keys(extraKeywords)];
  expect(named.filter((path) => !paths.includes(path))).toEqual([]);
});

test('the digest of an example is of no demo key', () => {
  const demo = readText(join(phases.at(-1)?.folder ?? '', 'gateway.json'));
  for (const digest of (fieldExamples['clients[].keySha256'] ?? []).flat())
    expect(demo).not.toContain(String(digest));
});

test('the examples in docs/ name a schema that exists', () => {
  const folder = join(root, 'docs', 'examples');
  const named = readdirSync(folder).map((name) => readSchema(`docs/examples/${name}`).$schema);
  const schemas = named.filter((schema) => schema !== undefined);
  expect(schemas.length).toBeGreaterThan(0);
  expect(schemas.filter((schema) => !existsSync(join(folder, schema)))).toEqual([]);
});
