import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { type UnsaidRule, unsaidRules } from '../../shared/config/beyond-zod.ts';
import { schemaPath } from '../../shared/config/json-schema.ts';
import { loadPhaseConfig, type PhaseConfig } from '../../shared/config/phase-config.ts';
import { readText } from '../../shared/repository/phase-files.ts';
import { type Phase, root } from '../../shared/repository/phases.ts';

/** A phase with the two judges of its config. */
export interface Judges extends PhaseConfig {
  phase: Phase;
  validate: ValidateFunction;
}

/** Loads the code and the JSON Schema of a phase. */
export async function loadJudges(phase: Phase): Promise<Judges> {
  const schema = JSON.parse(readText(join(root, schemaPath(phase))));
  const validate = new Ajv2020({ allErrors: true }).compile(schema);
  return { phase, validate, ...(await loadPhaseConfig(phase)) };
}

/** How the two judges differ about a config. */
export interface Judgement {
  accepted: boolean;
  /** The fields that only the schema refuses. */
  onlySchema: string[];
  /** The lines of the phase about fields that the schema accepts, without those of an unsaid rule. */
  onlyPhase: string[];
  /** The unsaid rules that the config breaks. */
  unsaid: UnsaidRule[];
}

/** Judges the text of a config, which is written to a file in `folder` for the phase. */
export function judgeConfig({ phase, read, validate }: Judges, text: string, folder: string): Judgement {
  const file = join(folder, 'gateway.json');
  writeFileSync(file, text);
  const result = read(file);
  const lines = 'refusal' in result ? result.refusal.split('\n').slice(1) : [];
  const content = parse(text);
  const fields = content === undefined ? [] : findBadFields(validate, content);
  const named = lines.map((line) => fieldOf(line));
  const only = lines.filter((line) => !fields.includes(fieldOf(line)));
  const rules = unsaidRules.filter((rule) => rule.phase <= phase.number);
  return {
    accepted: !('refusal' in result),
    onlySchema: fields.filter((field) => !named.some((name) => isIn(field, name))),
    onlyPhase: only.filter((line) => !rules.some(({ message }) => message.test(line))),
    unsaid: rules.filter(({ message }) => lines.some((line) => message.test(line))),
  };
}

/** Undefined: no JSON. A phase says so, and an editor shows it without a schema. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    return undefined;
  }
}

/** `  routes[0].prefix: is missing` → `routes[0].prefix` */
const fieldOf = (line: string) => line.trim().split(': ', 1)[0] ?? '';

/** Whether a field is another one, or in it: a phase does not look into a service whose name it refuses. */
const isIn = (field: string, other: string) =>
  field === other || field.startsWith(`${other}.`) || field.startsWith(`${other}[`);

/** The fields that a schema refuses, named as a phase names them. */
function findBadFields(validate: ValidateFunction, content: unknown): string[] {
  validate(content);
  const errors = (validate.errors ?? []).filter(({ propertyName }) => propertyName === undefined);
  return [...new Set(errors.map(nameField))];
}

function nameField({ instancePath, params }: ErrorObject): string {
  const { missingProperty, additionalProperty, propertyName } = params;
  const parts = instancePath.split('/').slice(1);
  const name = [...parts, missingProperty ?? additionalProperty ?? propertyName]
    .filter((part) => part !== undefined)
    .map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`))
    .join('');
  return name.replace(/^\./, '') || '(the whole file)';
}
