import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { agree } from '../shared/recordings/agreement.ts';
import { findRecordings, type RecordedCommand, writeRecordings } from '../shared/recordings/blocks.ts';
import { curlAvailable, runDocumented } from '../shared/recordings/command.ts';
import { withCopy } from '../shared/recordings/copy.ts';
import { findStaleDrawings, listRecordedFiles, rerunFile } from '../shared/recordings/file.ts';
import { drawTerminal } from '../shared/recordings/svg.ts';
import { readText } from '../shared/repository/phase-files.ts';
import { root } from '../shared/repository/phases.ts';
import { startDemoServices } from '../shared/upstreams/demo-services.ts';

const noPorts = new Map<number, number>();
const perFileMs = 300_000;

if (!curlAvailable) {
  const message =
    'curl is not on PATH: the recordings in the documents are not checked. Get it from https://curl.se.';
  if (process.env.CI === 'true') throw new Error(message);
  console.warn(message);
}

describe('the documents show what really happens', () => {
  // docs/workshop.md runs whole suites: test/workshop.test.ts.
  const files = listRecordedFiles().filter((file) => !file.endsWith('workshop.md'));
  test.skipIf(!curlAvailable).each(files)('in %s', { timeout: perFileMs }, async (file) => {
    const { differences, staleDrawings } = await rerunFile(file, startDemoServices);
    expect(differences, 'Next: npm run docs, then read what it changed.').toEqual([]);
    expect(
      staleDrawings.map((drawing) => drawing.file),
      'Next: npm run docs.',
    ).toEqual([]);
  });
});

describe('a recording', () => {
  const markdown = [
    'Text.',
    '',
    '<!-- recorded against phase 3 -->',
    '```console',
    '# first',
    '$ curl -i http://127.0.0.1:3000/',
    'HTTP/1.1 200 OK',
    '',
    '{}',
    '',
    '# second',
    '$ npm run diff',
    '```',
    '',
    '````md',
    '```console',
    '$ not a command',
    '```',
    '````',
    '```console',
    '$ npm run key -- me',
    '```',
    'End.',
  ].join('\n');

  test('is a block marked console, with the phase named above it', () => {
    expect(findRecordings(markdown).map(({ phase, commands }) => ({ phase, commands }))).toEqual([
      {
        phase: '3',
        commands: [
          {
            comments: ['# first'],
            command: 'curl -i http://127.0.0.1:3000/',
            output: 'HTTP/1.1 200 OK\n\n{}',
          },
          { comments: ['# second'], command: 'npm run diff', output: '' },
        ],
      },
      { phase: undefined, commands: [{ comments: [], command: 'npm run key -- me', output: '' }] },
    ]);
  });

  test('may be of a copy, in which commands do no harm', async () => {
    const block = (command: string) =>
      `<!-- recorded in a copy of the repository -->\n\`\`\`console\n$ ${command}\n\`\`\``;
    expect(findRecordings(block('npm run diff'))).toMatchObject([{ inCopy: true, phase: undefined }]);
    expect(findRecordings(markdown).map(({ inCopy }) => inCopy)).toEqual([false, false]);
    const script =
      "fs.writeFileSync('left-behind.txt', ''); console.log(process.cwd(), fs.existsSync('README.md'))";
    const output = await withCopy((run) => run(`node -e "${script}"`, noPorts));
    expect(output).toBe('/home/me/gateway true');
    expect(existsSync(join(root, 'left-behind.txt'))).toBe(false);
  });

  test('is written back where it was found', () => {
    const recordings = findRecordings(markdown);
    expect(writeRecordings(markdown, recordings)).toBe(markdown);
    for (const { commands } of recordings) for (const recorded of commands) recorded.output = 'new\nlines';
    const written = writeRecordings(markdown, recordings);
    expect(written).toContain(
      '$ curl -i http://127.0.0.1:3000/\nnew\nlines\n\n# second\n$ npm run diff\nnew\nlines\n```\n',
    );
    expect(written).toContain('$ not a command\n```\n````\n');
    expect(findRecordings(written).flatMap(({ commands }) => commands.map(({ output }) => output))).toEqual(
      Array(3).fill('new\nlines'),
    );
  });
});

describe('a drawing', () => {
  const text = (svg: string) =>
    [...svg.matchAll(/<text class="(\w+)"[^>]*>(.*)<\/text>/g)].map(([, kind, line]) => `${kind}: ${line}`);
  const recorded: RecordedCommand[] = [
    { comments: ['# one'], command: 'curl "http://a/?x=1&y=<2>"', output: '{\n  "a": 1\n}' },
    { comments: [], command: 'node', output: '' },
  ];

  test('is asked for in a comment above the block, beside that of the phase', () => {
    const block = '```console\n$ curl http://127.0.0.1:3000/\n```';
    const markdown = [
      '<!-- drawn as docs/one.svg -->',
      '<!-- recorded against phase 3 -->',
      block,
      '<!-- recorded against phase 4 -->',
      '',
      '<!-- drawn as docs/two.svg -->',
      block,
      block,
    ].join('\n');
    expect(findRecordings(markdown)).toMatchObject([
      { phase: '3', drawnAs: 'docs/one.svg' },
      { phase: '4', drawnAs: 'docs/two.svg' },
      { phase: undefined, drawnAs: undefined },
    ]);
  });

  test('has each line of the recording, escaped, with the spaces at its beginning', () => {
    expect(text(drawTerminal(recorded))).toEqual([
      'comment: # one',
      'command: $ curl "http://a/?x=1&amp;y=&lt;2&gt;"',
      'output: {',
      'output:   "a": 1',
      'output: }',
      'command: $ node',
    ]);
  });

  test('wraps a long line as a terminal does', () => {
    const long = drawTerminal([{ comments: [], command: 'node', output: 'a'.repeat(250) }]);
    expect(text(long).map((line) => line.length - 'output: '.length)).toEqual([7, 100, 100, 50]);
  });

  test('is stale when its file is missing or shows something else', () => {
    const [recording] = findRecordings('<!-- drawn as docs/none.svg -->\n```console\n$ node\n```');
    if (!recording) throw new Error('There is no recording.');
    expect(findStaleDrawings([recording])).toEqual([
      { file: 'docs/none.svg', svg: drawTerminal(recording.commands) },
    ]);
    expect(findStaleDrawings([{ ...recording, drawnAs: 'docs/config.md' }])).toHaveLength(1);
    expect(findStaleDrawings([{ ...recording, drawnAs: undefined }])).toEqual([]);
  });

  test('is shown by the README', () => {
    const [recording] = findRecordings(readText(join(root, 'docs/terminal.md')));
    expect(recording?.drawnAs).toBe('docs/terminal.svg');
    expect(findStaleDrawings(recording ? [recording] : [])).toEqual([]);
    expect(readText(join(root, 'README.md'))).toContain('](docs/terminal.svg)](docs/terminal.md)');
  });
});

describe('a recorded command', () => {
  test('may be an npm script or node, with variables before it; its failure is shown', async () => {
    expect(await runDocumented('npm run key -- "a b"', noPorts)).toMatch(
      /^"a b" is not a valid client name\./,
    );
    expect(await runDocumented('MY_WORD=yes node -p "process.env.MY_WORD"', noPorts)).toBe('yes');
    const busy = "'a\\nThis machine is overloaded: 9 programs.\\nNext: wait.\\n\\nb'";
    expect(await runDocumented(`node -p "${busy}"`, noPorts)).toBe('a\nb');
  });

  test.for([
    ['rm -r phases', 'A recorded command begins with curl, npm run or node.'],
    ['npm test', 'A recorded command begins with curl, npm run or node.'],
    ['npm run nothing', '"npm run nothing" starts no TypeScript file of the repository.'],
    ['npm run diff --stat', 'Options of an npm script go after "--".'],
  ] as const)('is not %s', async ([command, message]) => {
    await expect(runDocumented(command, noPorts)).rejects.toThrow(message);
  });
});

describe('two outputs agree', () => {
  test.for([
    ['in all words', 'HTTP/1.1 200 OK\n\n{}', 'HTTP/1.1 200 OK\n\n{}', true],
    ['but for another status', 'HTTP/1.1 200 OK', 'HTTP/1.1 404 Not Found', false],
    ['but for another line', 'a', 'a\nb', false],
    ['with a few seconds less', 'ratelimit: "anonymous";r=4;t=60', 'ratelimit: "anonymous";r=4;t=56', true],
    ['but for another window', 'ratelimit: "anonymous";r=4;t=60', 'ratelimit: "anonymous";r=4;t=30', false],
    ['but for another quota', 'ratelimit: "anonymous";r=4;t=60', 'ratelimit: "anonymous";r=3;t=60', false],
    ['with a few seconds less to wait', 'Retry-After: 30', 'Retry-After: 29', true],
    ['but for another wait', 'retry-after: 30', 'retry-after: 1', false],
    ['with another digest', `SHA-256  ${'0'.repeat(64)}`, `SHA-256  ${'f'.repeat(64)}`, true],
    ['with another key', `key gw_${'a'.repeat(43)}`, `key gw_${'_'.repeat(43)}`, true],
    ['with another time', '"at": "2026-01-02T03:04:05.678Z"', '"at": "2027-01-02T03:04:05.678Z"', true],
    ['with another duration', '{"durationMs":1.9}', '{"durationMs":12}', true],
    ['with another number of ms', '   12 ms  client  200', ' 1234 ms  client  200', true],
    ['but for another event after some ms', '12 ms  client  200', '12 ms  client  429', false],
    ['with another number of seconds', 'all kept, in 3 s.', 'all kept, in 12 s.', true],
    ['with another port that was picked', 'http://127.0.0.1:20123/a', 'http://127.0.0.1:31999/a', true],
    ['but for another port of the documents', 'http://127.0.0.1:3000/a', 'http://127.0.0.1:4001/a', false],
    ['with another curl', '"user-agent": "curl/7.88.1"', '"user-agent": "curl/8.5.0"', true],
    ['with other words of curl', 'curl: (18) transfer closed', 'curl: (18) end of response', true],
    ['but for another failure', 'curl: (18) transfer closed', 'curl: (52) Empty reply', false],
  ] as const)('%s', ([, before, after, expected]) => {
    expect(agree(before, after)).toBe(expected);
  });
});
