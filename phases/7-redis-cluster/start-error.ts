import type * as z from 'zod';
import type { Fault } from './repeated-keys.ts';

/** The gateway cannot start. The message gives the operator every reason. */
export class StartError extends Error {}

/** Validates `input`. Throws a StartError with `headline`, one line per bad field, and the `faults` found before. */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  headline: string,
  faults: Fault[] = [],
): z.output<Schema> {
  const result = schema.safeParse(input, { reportInput: true });
  if (result.success && faults.length === 0) return result.data;
  const repeated = faults.map(({ path, message }) => `  ${fieldName(path)}: ${message}`);
  const reasons = (result.error?.issues ?? []).flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => `  ${fieldName([...issue.path, key])}: unknown field`)
      : `  ${fieldName(issue.path)}: ${reasonOf(issue)}`,
  );
  throw new StartError([`${headline}:`, ...repeated, ...reasons].join('\n'));
}

function reasonOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_key') return issue.issues.map(({ message }) => message).join(', ');
  const isMissing =
    (issue.code === 'invalid_type' || issue.code === 'invalid_value') && issue.input === undefined;
  return isMissing ? 'is missing' : issue.message;
}

function fieldName(path: PropertyKey[]): string {
  const name = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return name.replace(/^\./, '') || '(the whole file)';
}
