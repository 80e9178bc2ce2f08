import { describe, expect, test } from 'vitest';
import { acceptField } from '../shared/kit/workspace/config-stub.ts';
import { findNewFields } from '../shared/kit/workspace/new-fields.ts';
import { namesFile } from '../shared/repository/imports.ts';
import {
  findLead,
  findSection,
  findSections,
  pickRows,
  relink,
  unlink,
} from '../shared/repository/markdown.ts';

describe('new fields of a config', () => {
  const before = { services: { a: { url: 'x' } }, routes: [{ prefix: '/a', service: 'a' }] };

  test('are found with their neighbours; of a new section only the section', () => {
    const after = {
      services: { a: { url: 'x', weight: 1 } },
      routes: [{ prefix: '/a', service: 'a', access: 'public' }],
      limits: { identified: { limit: 1 }, list: [{ id: 1 }] },
    };
    expect(findNewFields(before, after)).toEqual([
      { name: 'weight', path: 'services.*.weight', siblings: ['url'] },
      { name: 'access', path: 'routes[].access', siblings: ['prefix', 'service'] },
      { name: 'limits', path: 'limits', siblings: ['services', 'routes'] },
    ]);
    expect(findNewFields(after, after)).toEqual([]);
  });
});

describe('a config that lets a field in', () => {
  const field = { name: 'access', path: 'routes[].access', siblings: ['prefix', 'service'] };

  test.each([
    [
      'over several lines',
      `const a = z.strictObject({\n  prefix: z.string(),\n  service: z.string(),\n});\n`,
      `const a = z.strictObject({\n  prefix: z.string(),\n  service: z.string(),\n  access: z.unknown(), // why\n});\n`,
    ],
    [
      'on one line',
      'const a = z.object({ prefix: z.string(), service: z.string() });',
      'const a = z.object({ prefix: z.string(), service: z.string(), access: z.unknown() });',
    ],
    [
      'behind another object, with brackets in texts, comments and patterns',
      `const b = z.object({ prefix: z.string() });
const a = zod
  .strictObject({
    prefix: z.string().regex(/^\\/\\/\\(/, "it's ("), // :-)
    /* } */ service
  })
`,
      `const b = z.object({ prefix: z.string() });
const a = zod
  .strictObject({
    prefix: z.string().regex(/^\\/\\/\\(/, "it's ("), // :-)
    /* } */ service,
    access: zod.unknown(), // why
  })
`,
    ],
    [
      'with a comment below its last property, and a name in quotes',
      "z.object({\n  'prefix': a,\n  service: b /* c */, // d\n  // e\n});",
      "z.object({\n  'prefix': a,\n  service: b /* c */, // d\n  access: z.unknown(), // why\n  // e\n});",
    ],
    [
      'with its brace behind its last property',
      'z.object({ prefix: a,\n  service: b });',
      'z.object({ prefix: a,\n  service: b,\n  access: z.unknown(), // why\n });',
    ],
    [
      'inside another one, in TypeScript',
      'const a: Schema<A> = z.object({ routes: z.array(z.object({ prefix, service })) })!;',
      'const a: Schema<A> = z.object({ routes: z.array(z.object({ prefix, service, access: z.unknown() })) })!;',
    ],
  ])('%s', (_, before, after) => {
    expect(acceptField(before, field, 'why')).toBe(after);
    expect(acceptField(after, field, 'why')).toBe(after);
  });

  test.each([
    ['no zod object', 'const config = JSON.parse(text);'],
    ['one without the older fields', 'z.strictObject({ prefix: z.string() })'],
    ['one that holds them deeper', 'z.strictObject({ route: z.object({ prefix: a }), service: b })'],
    ['one in a comment', '// z.strictObject({ prefix: a, service: b })'],
    ['one in a source that is not TypeScript', 'z.strictObject({ prefix: a, service: b }); let let = 1;'],
    ['one that never ends', 'z.strictObject({ prefix: a, service: b'],
  ])('is not made of %s', (_, source) => {
    expect(acceptField(source, field, 'why')).toBeUndefined();
  });
});

describe('parts of a Markdown file', () => {
  const page = {
    path: 'docs/a.md',
    text: [
      '# Title',
      '',
      '**What?** A [link](b.md#c), an [anchor](#here)',
      'and [another](https://x.y/z).',
      '',
      '## One',
      '',
      'first',
      '',
      '### Deeper',
      '',
      '```sh',
      '## no heading',
      '```',
      '',
      '## Two',
      '',
      '| a | n |',
      '|---|---|',
      '| x \\| y | 1 |',
      '| z | 2 |',
      '',
      '| b |',
      '|---|',
      '| w |',
    ].join('\n'),
  };

  test('sections end at the next heading of their level', () => {
    expect(findSection(page, (title) => title === 'One')).toBe(
      'first\n\n### Deeper\n\n```sh\n## no heading\n```',
    );
    expect(findSection(page, (title) => title === 'None')).toBe('');
    expect(findSections(page).map(({ title }) => title)).toEqual(['One', 'Two']);
  });

  test('the lead, with links that lead there from elsewhere', () => {
    expect(relink(findLead(page), page, 'workspace')).toBe(
      '**What?** A [link](../docs/b.md#c), an [anchor](../docs/a.md#here)\nand [another](https://x.y/z).',
    );
  });

  test('links in code are text, and those without a link keep their words', () => {
    const text = '`[a](b.md)` ![c](d.svg) [**e** `f`](g.md#h) [i](https://j.k)';
    expect(relink(text, page, 'workspace')).toBe(
      '`[a](b.md)` ![c](../docs/d.svg) [**e** `f`](../docs/g.md#h) [i](https://j.k)',
    );
    expect(unlink(text)).toBe('`[a](b.md)` c **e** `f` [i](https://j.k)');
  });

  test('rows that are picked keep their head, and tables without any go', () => {
    expect(pickRows(page.text, (cells) => cells[0] === 'x \\| y')).toBe(
      '| a | n |\n|---|---|\n| x \\| y | 1 |',
    );
  });
});

describe('a file of a phase', () => {
  test.each([
    ["import { Redis } from './redis.ts';", 'redis.ts', true],
    ["join(import.meta.dirname, 'fixed-window.lua')", 'fixed-window.lua', true],
    ['new URL("./fixed-windowXlua", import.meta.url)', 'fixed-window.lua', false],
    ["import { Redis } from './my-redis.ts';", 'redis.ts', false],
  ])('is named in %s: %s, %s', (source, file, expected) => {
    expect(namesFile(source, file)).toBe(expected);
  });
});
