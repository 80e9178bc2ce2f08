import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readText } from '../shared/repository/phase-files.ts';
import { root } from '../shared/repository/phases.ts';
import { exportedNames } from './support/exported-names.ts';

const shared = join(root, 'shared');
const files = readdirSync(shared, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts') && !path.includes('node_modules'))
  // The gateways and services beside the steps of a suite are part of its tests. No other suite imports them.
  .filter((path) => !/^contract\/\d-/.test(path));

test('shared/ has one meaning for each exported name', () => {
  const places = new Map<string, string[]>();
  for (const file of files) {
    for (const name of exportedNames(readText(join(shared, file))))
      places.set(name, [...(places.get(name) ?? []), file]);
  }
  expect(places.size).toBeGreaterThan(500);
  expect([...places].filter(([, found]) => found.length > 1)).toEqual([]);
});

test('an exported name is one that its file declares', () => {
  const source = `
    import { e } from './e.ts';
    export { a, type B } from './a.ts';
    export * from './c.ts';
    export const one = 1, two = 2;
    export function three() {}
    export class Four {}
    export interface Five {}
    export type Six = 6;
    export default class Seven {}
    const hidden = e;`;
  expect(exportedNames(source)).toEqual(['one', 'two', 'three', 'Four', 'Five', 'Six']);
});
