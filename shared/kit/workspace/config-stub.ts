import { parse } from '@babel/parser';
import type { Node, ObjectExpression, ObjectProperty } from '@babel/types';
import type { NewField } from './new-fields.ts';

/** An object schema of zod: `z.strictObject({ … })`. */
interface ObjectSchema {
  /** The name under which the file has zod, nearly always `z`. */
  zod: string;
  object: ObjectExpression;
  properties: ObjectProperty[];
}

/**
 * Lets the zod object that has the older fields accept the new field with any value. Undefined when the source has no
 * such object, or is not valid TypeScript.
 */
export function acceptField(
  source: string,
  { name, siblings }: NewField,
  remark: string,
): string | undefined {
  for (const schema of findSchemas(source)) {
    const names = schema.properties.map(nameOf);
    if (!siblings.every((sibling) => names.includes(sibling))) continue;
    return names.includes(name) ? source : addProperty(source, schema, name, remark);
  }
  return undefined;
}

function findSchemas(source: string): ObjectSchema[] {
  return nodesOf(parseTypeScript(source)).flatMap((node) => {
    if (node.type !== 'CallExpression' || node.callee.type !== 'MemberExpression') return [];
    const { object: zod, property: method } = node.callee;
    const [object] = node.arguments;
    if (zod.type !== 'Identifier' || object?.type !== 'ObjectExpression') return [];
    if (method.type !== 'Identifier' || !['strictObject', 'object'].includes(method.name)) return [];
    const properties = object.properties.filter((property) => property.type === 'ObjectProperty');
    return [{ zod: zod.name, object, properties }];
  });
}

function parseTypeScript(source: string): Node | undefined {
  try {
    return parse(source, { sourceType: 'module', plugins: ['typescript'] });
  } catch {
    return undefined;
  }
}

/** A node and all nodes below it, in the order of the source. */
function nodesOf(root: Node | undefined): Node[] {
  const isNode = (value: unknown): value is Node =>
    typeof value === 'object' && value !== null && 'type' in value;
  const below = (node: Node): Node[] => [node, ...Object.values(node).flat().filter(isNode).flatMap(below)];
  return root ? below(root).toSorted((a, b) => (a.start ?? 0) - (b.start ?? 0)) : [];
}

function nameOf({ key, computed }: ObjectProperty): string | undefined {
  if (computed) return undefined;
  if (key.type === 'Identifier') return key.name;
  return key.type === 'StringLiteral' ? key.value : undefined;
}

// The comments that follow a property on its line. They belong to it.
const comments = /(?:[ \t]*\/\*[\s\S]*?\*\/)*(?:[ \t]*\/\/[^\n]*)?/y;

/** Adds `name: z.unknown()` behind the last property, on a line of its own when the object has several lines. */
function addProperty(source: string, { zod, object }: ObjectSchema, name: string, remark: string): string {
  const last = object.properties.at(-1);
  const end = last?.end ?? 0;
  const comma = object.extra?.trailingComma as number | undefined;
  const codeEnd = comma === undefined ? end : comma + 1;
  const begun = comma === undefined ? `${source.slice(0, end)},` : source.slice(0, codeEnd);
  const property = `${name}: ${zod}.unknown()`;
  const isOneLine = !source.slice(object.start ?? 0, object.end ?? 0).includes('\n');
  if (isOneLine) return `${begun} ${property}${source.slice(codeEnd)}`;
  comments.lastIndex = codeEnd;
  const comment = comments.exec(source)?.[0] ?? '';
  const [indent = ''] = /^[ \t]*/.exec(source.slice(source.lastIndexOf('\n', last?.start ?? 0) + 1)) ?? [];
  const rest = source.slice(codeEnd + comment.length);
  // A brace behind the remark would be part of it.
  const breakLine = /^[ \t]*\n/.test(rest) ? '' : '\n';
  return `${begun}${comment}\n${indent}${property}, // ${remark}${breakLine}${rest}`;
}
