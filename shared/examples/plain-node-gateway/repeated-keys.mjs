import { member } from './check.mjs';

/**
 * Reports the keys that occur twice in one object of a valid JSON text. JSON.parse() takes the last one silently, so the
 * line that an operator reads could be without effect.
 */
export function checkKeys(json, report) {
  /** The objects and lists around the current token, the innermost last. */
  const open = [];
  let line = 1;
  let key = '';
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:\n]/g)) {
    const inner = open.at(-1);
    if (token === '\n') line++;
    else if (token === '{' || token === '[') {
      open.push({ path: pathWithin(inner), linesOf: new Map(), key: null, index: token === '[' ? 0 : null });
    } else if (token === '}' || token === ']') reportRepeated(open.pop(), report);
    else if (token === ',' && inner.index !== null) inner.index++;
    else if (token === ':') {
      inner.key = key;
      inner.linesOf.set(key, [...(inner.linesOf.get(key) ?? []), line]);
    } else if (token !== ',') key = JSON.parse(token); // a string; it is a key if a colon follows
  }
}

function pathWithin(container) {
  if (!container) return '';
  const { path, index, key } = container;
  return index === null ? member(path, key) : `${path}[${index}]`;
}

function reportRepeated({ path, linesOf }, report) {
  for (const [key, lines] of linesOf) {
    if (lines.length > 1)
      report(member(path, key), `is set ${lines.length} times, on lines ${lines.join(' and ')}`);
  }
}
