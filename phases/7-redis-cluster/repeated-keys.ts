import { parse, type ValueNode } from '@humanwhocodes/momoa';

const LIST = new Intl.ListFormat('en');

/** A mistake in the config that the schema does not find. */
export interface Fault {
  readonly path: PropertyKey[];
  readonly message: string;
}

/**
 * Finds the keys that occur twice in one object of a JSON text. JSON.parse() takes the last one silently, so a route
 * could be public although its `access` says protected in the line that its author sees.
 */
export function findRepeatedKeys(json: string): Fault[] {
  const faults: Fault[] = [];
  try {
    visit(parse(json).body, [], faults);
  } catch (error) {
    // This parser is recursive. JSON.parse() is not, and no schema accepts what is nested so deep.
    if (!(error instanceof RangeError)) throw error;
  }
  return faults;
}

function visit(node: ValueNode, path: PropertyKey[], faults: Fault[]): void {
  if (node.type === 'Array') {
    for (const [i, { value }] of node.elements.entries()) visit(value, [...path, i], faults);
  }
  if (node.type !== 'Object') return;
  const linesOf = new Map<string, number[]>();
  for (const { name, value, loc } of node.members) {
    const key = name.type === 'String' ? name.value : name.name; // an Identifier occurs in JSON5 only
    linesOf.set(key, [...(linesOf.get(key) ?? []), loc.start.line]);
    visit(value, [...path, key], faults);
  }
  for (const [key, lines] of linesOf) {
    if (lines.length === 1) continue;
    const times = lines.length === 2 ? 'twice' : `${lines.length} times`;
    faults.push({
      path: [...path, key],
      message: `is set ${times}, on lines ${LIST.format(lines.map(String))}`,
    });
  }
}
