import type { NewField } from './new-fields.ts';

const objectSchema = /\b(\w+)\s*\.\s*(?:strictObject|object)\(\s*\{/g;

/**
 * Lets the zod object that has the older fields accept the new field with any value. Undefined when the source has no
 * such object.
 */
export function acceptField(
  source: string,
  { name, siblings }: NewField,
  remark: string,
): string | undefined {
  for (const match of source.matchAll(objectSchema)) {
    const begin = match.index + match[0].length;
    const end = findClosingBrace(source, begin);
    if (end === undefined) continue;
    const body = source.slice(begin, end);
    const names = findProperties(body);
    if (!siblings.every((sibling) => names.includes(sibling))) continue;
    if (names.includes(name)) return source;
    return (
      source.slice(0, begin) + addProperty(body, `${name}: ${match[1]}.unknown()`, remark) + source.slice(end)
    );
  }
  return undefined;
}

function addProperty(body: string, property: string, remark: string): string {
  const kept = body.trimEnd();
  const comment = /[ \t]+\/\/[^\n]*$/.exec(kept)?.[0] ?? '';
  const code = kept.slice(0, kept.length - comment.length);
  const comma = code.endsWith(',') ? '' : ',';
  if (!body.includes('\n')) return `${code}${comma} ${property} `;
  const indent = /\n([ \t]*)\S/.exec(body)?.[1] ?? '';
  return `${code}${comma}${comment}\n${indent}${property}, // ${remark}${body.slice(kept.length)}`;
}

function findClosingBrace(source: string, from: number): number | undefined {
  let end: number | undefined;
  scan(source, from, (depth, index) => {
    if (depth < 0) end ??= index;
    return end !== undefined;
  });
  return end;
}

/** The names of the properties of an object literal. `body` is the text between its braces. */
function findProperties(body: string): string[] {
  const names: string[] = [];
  scan(body, 0, (depth, index) => {
    const [, name] = (depth === 0 && /^([A-Za-z_$][\w$]*)\s*(?:[:,]|$)/.exec(body.slice(index))) || [];
    if (name !== undefined && /(?:^|[,{\s/])$/.test(body.slice(0, index))) names.push(name);
    return false;
  });
  return names;
}

// Comments, string literals, and escaped characters, which occur in regular expressions.
const skipped = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`|\\./y;

/** Calls `stop` for each character outside comments and strings, with its bracket depth, until it returns true. */
function scan(source: string, from: number, stop: (depth: number, index: number) => boolean): void {
  let depth = 0;
  for (let index = from; index < source.length; index++) {
    skipped.lastIndex = index;
    const [text] = skipped.exec(source) ?? [];
    if (text !== undefined) {
      index += text.length - 1;
      continue;
    }
    const character = source.charAt(index);
    if ('({['.includes(character)) depth += 1;
    if (')}]'.includes(character)) depth -= 1;
    if (stop(depth, index)) return;
  }
}
