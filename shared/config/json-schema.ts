import * as z from 'zod';
import { titleOf } from '../repository/markdown.ts';
import type { Phase } from '../repository/phases.ts';
import { extraKeywords, unsaidRules } from './beyond-zod.ts';
import { fieldExamples } from './field-examples.ts';
import { readFieldTable } from './field-table.ts';
import { loadPhaseConfig } from './phase-config.ts';

/** The parts of a JSON Schema that hold the fields of a config. */
export interface FieldSchema {
  [keyword: string]: unknown;
  properties?: Record<string, FieldSchema>;
  additionalProperties?: FieldSchema | boolean;
  items?: FieldSchema;
}

/** The path of the schema of a phase from the root. */
export function schemaPath({ number }: Phase): string {
  return `docs/schema/phase-${number}.schema.json`;
}

/** The JSON Schema (draft 2020-12) for the gateway.json of a phase, as the text of its file. */
export async function writeSchema(phase: Phase): Promise<string> {
  const { schema } = await loadPhaseConfig(phase);
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input' }) as FieldSchema;
  const whole = { $schema, title: `gateway.json of phase ${phase.number}, ${titleOf(phase)}` };
  const described = { ...whole, description: describeSchema(phase), ...rest };
  for (const [path, field] of listSchemaFields(rest)) describeField(phase, path, field);
  return `${JSON.stringify(described, null, 2)}\n`;
}

/** Every part of a schema that describes a value, by its path: `services.<name>.url`, `trustedProxies[]`. */
export function listSchemaFields(schema: FieldSchema, path = ''): Array<[path: string, field: FieldSchema]> {
  const { properties = {}, additionalProperties: values, items } = schema;
  const below: Array<[path: string, field: FieldSchema]> = Object.entries(properties).map(([name, field]) => [
    path === '' ? name : `${path}.${name}`,
    field,
  ]);
  if (typeof values === 'object') below.push([`${path}.<name>`, values]);
  if (items) below.push([`${path}[]`, items]);
  return below.flatMap(([name, field]) => [[name, field], ...listSchemaFields(field, name)]);
}

const rows = new Map(readFieldTable().map((row) => [row.field, row]));

function describeField(phase: Phase, path: string, field: FieldSchema): void {
  const row = rows.get(path);
  const examples = path === '$schema' ? [`../${schemaPath(phase)}`] : fieldExamples[path];
  Object.assign(field, {
    ...(row ? { description: `${row.meaning}\n${row.range}` } : {}),
    ...extraKeywords[path],
    ...(examples ? { examples } : {}),
  });
}

function describeSchema({ number }: Phase): string {
  const rules = unsaidRules.filter(({ phase }) => phase <= number);
  return [
    `npm run schema has written this file from the code of phase ${number}. The phase has these rules, too, which a JSON Schema cannot express:`,
    ...rules.map(({ rule }) => `- ${rule}`),
    `npm run check-config -- FILE --phase ${number} checks all of them.`,
  ].join('\n');
}
