import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { scratch } from '../shared/process/bench-process.ts';
import { until } from '../shared/process/until.ts';
import { root } from '../shared/repository/phases.ts';
import { storms } from '../shared/storm/all-storms.ts';
import { readHaproxyLine, readNginxLine } from '../shared/storm/balancers.ts';
import { lackOfDescriptors } from '../shared/storm/connections.ts';
import type { Figure, Result, StormRun } from '../shared/storm/definition.ts';
import { all, atMost, must, none, shown, timed } from '../shared/storm/figures.ts';
import { figureRows, summaryRows, toPage } from '../shared/storm/report.ts';
import { hasFailed, judgeFigure, judgeStorm } from '../shared/storm/verdict.ts';
import { startProcess } from './support/processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'gateway-storm-test-'));
const script = join(root, 'shared', 'cli', 'storm.ts');
const command = ['--import', 'tsx', script];

afterAll(() => {
  for (const path of [folder, scratch]) rmSync(path, { recursive: true, force: true });
});

const quiet = { p99Ms: 1, maxMs: 5 };

function result(figures: Figure[], more: Partial<Result> = {}): Result {
  return { name: 'idle', figures, lateness: quiet, notes: [], seconds: 12.3, ...more };
}

function run(...results: Result[]): StormRun {
  const machine = { processor: 'some, 2 cores', node: 'v20.19.0' };
  return { date: '2026-11-27T10:00:00Z', quick: false, gateway: 'phase 6-tracing', machine, results };
}

describe('a verdict', () => {
  test.each<[string, Figure, string]>([
    ['a figure at its limit', atMost('a', 200, 200, 'ms'), 'pass'],
    ['a figure above its limit', atMost('a', 201, 200, 'ms'), 'MISS'],
    ['a figure of which nothing was measured', atMost('a', Number.NaN, 200, 'ms'), 'MISS'],
    ['nothing that went wrong', none('a', 0, 9), 'pass'],
    ['something that went wrong', none('a', 1, 9), 'MISS'],
    ['a complete count', all('a', 9, 9), 'pass'],
    ['an incomplete count', all('a', 8, 9), 'MISS'],
    ['a condition that is not met', must('a', 'yes', 'no', false), 'MISS'],
    ['a figure that is only shown', shown('a', '9'), ''],
  ])('%s', (_, figure, verdict) => {
    expect(judgeFigure(figure, quiet)).toBe(verdict);
  });

  test('a time is not judged when the load process was late, a count is', () => {
    const late = { p99Ms: 15, maxMs: 300 };
    expect(judgeFigure(atMost('a', 1, 2, 'ms', timed(500)), { p99Ms: 30, maxMs: 30 })).toBe('disturbed');
    expect(judgeFigure(atMost('a', 3, 2, 'ms', timed(100)), late)).toBe('disturbed');
    expect(judgeFigure(atMost('a', 3, 2, 'ms', timed(500)), late)).toBe('MISS');
    expect(judgeFigure(none('a', 1), late)).toBe('MISS');
    expect(judgeFigure(atMost('a', 1, 2, 'ms', timed(500)), null)).toBe('pass');
  });

  test('the lateness while one figure was measured counts for that figure', () => {
    const figure = atMost('a', 1, 2, 'ms', timed(100, quiet));
    expect(judgeFigure(figure, { p99Ms: 30, maxMs: 300 })).toBe('pass');
  });

  test('the worst figure decides about a storm, and a miss or a missing program in CI about the exit code', () => {
    const disturbed = atMost('a', 1, 2, 'ms', timed(1));
    const pass = result([none('a', 0), shown('b', '1')]);
    const miss = result([disturbed, none('a', 1)]);
    const notRun = result([], { notRun: 'nginx is not on PATH' });
    expect([pass, miss, notRun, result([disturbed])].map(judgeStorm)).toEqual([
      'pass',
      'MISS',
      'not run',
      'disturbed',
    ]);
    expect(hasFailed([pass, result([disturbed])], true)).toBe(false);
    expect(hasFailed([pass, miss], false)).toBe(true);
    expect(hasFailed([pass, notRun], false)).toBe(false);
    expect(hasFailed([pass, notRun], true)).toBe(true);
  });
});

test('a table has the figure that must hold beside the measured one', () => {
  expect(figureRows(result([atMost('longest', 1234.5, 300, 'ms'), none('lost', 0, 1000)]))).toEqual([
    ['figure', 'must hold', 'measured', ''],
    ['longest', '≤ 300 ms', '1,235 ms', 'MISS'],
    ['lost', '0', '0 of 1,000', 'pass'],
  ]);
  expect(summaryRows([result([none('lost', 0)])], storms)[1]).toEqual([
    'Idle client connections',
    '12',
    '1.0 ms, 5 ms',
    'pass',
  ]);
});

describe('the document', () => {
  const page = toPage(
    run(
      result([none('a | b', 0)], { notes: ['3 × HAProxy, POST: why'] }),
      result([], { name: 'redis', notRun: 'redis-server is not on PATH' }),
    ),
    storms,
  );

  test('says of each storm what is done, what must hold and what was measured', () => {
    const [, idle = '', redis = ''] = page.split(/^## (?!Summary)/m);
    for (const storm of storms.filter(({ name }) => name === 'idle')) {
      for (const text of [storm.title, storm.done, storm.owed]) expect(idle).toContain(text);
    }
    expect(idle).toContain('| a \\| b | 0 | 0 | pass |');
    expect(idle).toContain('- 3 × HAProxy, POST: why');
    expect(redis).toContain('**Not run**: redis-server is not on PATH.');
  });

  test('names the date, the gateway and the machine', () => {
    for (const text of ['2026-11-27', 'phase 6-tracing', 'some, 2 cores', 'v20.19.0'])
      expect(page).toContain(text);
    expect(page).not.toContain('quick run');
    expect(toPage({ ...run(), quick: true }, storms)).toContain('quick run');
  });
});

test('the reason for a lost request is found in the logs of the balancers', () => {
  const [head, end] = [
    '<134>Nov 27 10:00:00 haproxy[1]: 127.0.0.1:5 [27/Nov/2026:10:00:00.000] public',
    '1/1/0/0/0 0/0 "POST /a/order/1 HTTP/1.1"',
  ];
  expect(readHaproxyLine(`${head} gateways/gateway-1 0/0/1/-1/2 502 223 - - SH-- ${end}`)).toMatch(
    /^502, state `SH`/,
  );
  expect(readHaproxyLine(`${head} gateways/gateway-1 0/0/1/4/5 200 223 - - ---- ${end}`)).toBeUndefined();
  expect(readHaproxyLine('')).toBeUndefined();
  const failed = 'recv() failed (104: Connection reset by peer) while reading response header from upstream';
  expect(readNginxLine(`2026/11/27 10:00:00 [error] 1#1: *7 ${failed}, client: 127.0.0.1, server: x`)).toBe(
    failed,
  );
  expect(readNginxLine('')).toBeUndefined();
});

const supported = process.platform !== 'win32';
if (!supported) console.warn('Skipped: npm run storm needs /proc or ps. On Windows, run it in WSL.');

describe.skipIf(!supported)('npm run storm', () => {
  const storm = (options: string[], env: NodeJS.ProcessEnv = {}) =>
    startProcess([process.execPath, ...command, ...options], { CI: '', ...env });

  test('names the storms when there is none of that name', async () => {
    const { ended, output } = storm(['--only', 'rain']);
    expect(await ended).toBe(1);
    expect(output()).toContain('There is no storm "rain". They are: idle, slow,');
  });

  test('says why a storm was not run, and fails for it only with CI=true', async () => {
    for (const [CI, code] of [
      ['', 0],
      ['true', 1],
    ] as const) {
      const { ended, stdout } = storm(['--only', 'redis,restarts'], { CI, PATH: folder });
      expect(await ended, stdout()).toBe(code);
      expect(stdout()).toContain('Not run: redis-server is not on PATH');
      expect(stdout()).toContain('Not run: haproxy and nginx are not on PATH');
    }
  });

  test.skipIf(lackOfDescriptors(1_300) !== undefined)(
    'runs one storm, and writes the document and the figures',
    { timeout: 120_000 },
    async () => {
      const [page, figures] = [join(folder, 'page.md'), join(folder, 'figures.json')];
      const { ended, output } = storm(['--quick', '--only', 'idle', '--report-to', page, '--json', figures]);
      const code = await ended;
      const { results } = JSON.parse(readFileSync(figures, 'utf8')) as StormRun;
      expect(
        results.map(({ name }) => name),
        output(),
      ).toEqual(['idle']);
      const counts = (results[0] as Result).figures.filter((figure) => !figure.timed && figure.must !== '');
      expect(counts.length, output()).toBeGreaterThan(2);
      expect(counts.filter(({ holds }) => !holds)).toEqual([]);
      // The times of a busy machine can be a miss.
      expect(code).toBe(output().includes('MISS') ? 1 : 0);
      const text = readFileSync(page, 'utf8');
      expect(text).toContain('| connections accepted | 1,000 | 1,000 | pass |');
      const again = storm(['--from', figures, '--report-to', join(folder, 'again.md')]);
      expect(await again.ended).toBe(code);
      expect(readFileSync(join(folder, 'again.md'), 'utf8')).toBe(text);
    },
  );

  test('Ctrl-C ends everything that it has started', async () => {
    const { child, ended } = storm(['--quick', '--only', 'aborts']);
    await until(() => childrenOf(child.pid).length >= 2, 'service and gateway run', 30_000);
    const started = childrenOf(child.pid);
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    await until(() => !started.some(isRunning), 'they have ended');
  });
});

function childrenOf(pid: number | undefined): number[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' });
  const lines = stdout.split('\n').map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)/.exec(line) ?? []);
  return lines
    .filter(([, , parent, words]) => Number(parent) === pid && /service\.ts|server\.ts/.test(words ?? ''))
    .map(([, own]) => Number(own));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
