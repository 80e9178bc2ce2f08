import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { cpuChart } from '../shared/bench/charts.ts';
import { judgeGoals } from '../shared/bench/goals.ts';
import { parseAutocannon, parseWrk } from '../shared/bench/load.ts';
import { type Measured, measure, type Slice } from '../shared/bench/measure.ts';
import { goalRows } from '../shared/bench/report.ts';
import type { Results } from '../shared/bench/results.ts';
import { sameAgain } from '../shared/bench/scenarios.ts';
import { direct, phase } from '../shared/bench/subjects.ts';
import { prepareSurroundings } from '../shared/bench/surroundings.ts';
import { tabulate } from '../shared/bench/tables.ts';
import { median, noise, quantile, ratios, summariseValues } from '../shared/metrics/statistics.ts';
import { scratch } from '../shared/process/bench-process.ts';
import { parsePsTime } from '../shared/process/cpu.ts';
import { onPath } from '../shared/process/on-path.ts';
import { toMarkdown, toText } from '../shared/terminal/table.ts';

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const load = {
  path: '/fast/200',
  method: 'GET' as const,
  headers: {},
  bodyBytes: 0,
  connections: 4,
  seconds: 1,
};

function slice(cpuUs: number): Slice {
  const latency = { p50Ms: 1, p99Ms: 2, p999Ms: 3 };
  const counts = { requests: 1000, seconds: 1, bytes: 200_000, sentBytes: 0, errors: 0, non2xx: 0 };
  return { ...latency, ...counts, cpuUs, redisCpuUs: 0, residentBytes: 1 };
}

function measured(name: string, costs: number[]): Measured {
  return { name, slices: costs.map(slice), startMs: 1, idleBytes: 1, peakBytes: 1 };
}

function results(...all: Measured[]): Results {
  const found = [{ name: 'forward', parts: [{ label: '', measured: all }] }];
  return { date: '', quick: true, rounds: 3, machine: {}, found, leftOut: [] };
}

test('shows a third digit where two would hide a miss', () => {
  const row = (value: number) =>
    goalRows([{ figure: '', scenario: '', limit: 1.15, value, met: value <= 1.15 }])[1]?.slice(1);
  expect(row(1.154)).toEqual(['≤ 1.15', '1.154', 'MISS']);
  expect(row(1.149)).toEqual(['≤ 1.15', '1.15', 'pass']);
  expect(row(1.2)).toEqual(['≤ 1.15', '1.20', 'MISS']);
});

test('takes the middle of the rounds, so that a spoiled one does not count', () => {
  expect(median([5, 1, 900])).toBe(5);
  expect(quantile([0, 10], 0.25)).toBe(2.5);
  expect(summariseValues([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
  expect(ratios([10, 40], [5, 10])).toEqual([2, 4]);
  expect(noise([0.9, 1, 1, 1, 1.02])).toBe(0);
  expect(median([])).toBeNaN();
});

test('holds the median of the ratios within the rounds against a goal', () => {
  const slowRound = [100, 300, 100];
  const judged = judgeGoals(
    results(
      measured('phase 1', slowRound),
      measured('phase 2', [110, 330, 107]),
      measured('phase 3', [140, 420, 140]),
      measured('phase 4', [141, 423, 141]),
      measured(sameAgain, [102, 294, 100]),
    ),
  );
  const verdict = (figure: string) => judged.find((goal) => goal.figure === figure);
  expect(verdict('phase 2 / phase 1')).toMatchObject({ value: 1.1, met: false });
  expect(verdict('phase 3 / phase 2')?.met).toBe(true);
  expect(verdict('phase 4 / phase 3')).toMatchObject({ limit: 1.01, met: true });
  expect(verdict('phase 1 / nginx')).toMatchObject({ value: null, met: null });
});

test('reads what wrk and autocannon print', () => {
  const figures =
    '{"requests":9,"seconds":1.5,"bytes":8,"errors":0,"non2xx":1,"p50Ms":1,"p99Ms":2,"p999Ms":3}';
  const answers = {
    requests: 9,
    seconds: 1.5,
    bytes: 8,
    errors: 0,
    non2xx: 1,
    p50Ms: 1,
    p99Ms: 2,
    p999Ms: 3,
  };
  expect(parseWrk(`Running 1s test\n  9 requests in 1.50s\n\n${figures}\n`)).toEqual(answers);
  const printed = {
    requests: { total: 9 },
    duration: 1.5,
    throughput: { total: 8 },
    errors: 0,
    timeouts: 0,
    non2xx: 1,
    latency: { p50: 1, p99: 2, p99_9: 3 },
  };
  expect(parseAutocannon(JSON.stringify(printed))).toEqual(answers);
});

test('reads the CPU time that ps prints', () => {
  expect(parsePsTime('  0:01.50\n')).toBe(1_500_000);
  expect(parsePsTime('1-02:03:04')).toBe((26 * 3600 + 3 * 60 + 4) * 1e6);
});

test('writes tables with a ratio to phase 1', () => {
  const rows = tabulate([measured('direct', [0]), measured('phase 1', [50]), measured('phase 2', [60])]);
  expect(rows.at(0)).toContain('/ phase 1');
  expect(rows.at(-1)).toContain('1.20');
  expect(toText(rows)).toContain('phase 2');
  expect(toMarkdown(rows).split('\n')[1]).toMatch(/^\| --- \| ---: \|/);
});

// Echarts draws from this option. It is installed by npm run bench -- --report only, so no test needs it.
test('charts the lowest cost on top, the phases in their own colour, and no subject without a cost', () => {
  const all = [measured('nginx', [20]), measured('direct', [0]), measured('phase 1', [50.26, 50.26, 900])];
  const { height, option } = cpuChart('A title', all, 'light');
  expect(option.title.text).toBe('A title');
  expect(option.yAxis.data).toEqual(['phase 1', 'nginx']); // echarts draws a category axis from the bottom up
  const bars = option.series[0]?.data ?? [];
  expect(bars.map(({ value }) => value)).toEqual([50.3, 20]);
  expect(new Set(bars.map(({ itemStyle }) => itemStyle.color)).size).toBe(2);
  expect(cpuChart('A title', all.slice(0, 2), 'light').height).toBeLessThan(height);
});

test('aligns words left and numbers right, whatever their colour, and escapes what Markdown would split', () => {
  const rows = [
    ['name', 'of', 'ms'],
    ['\u001b[1mlonger\u001b[0m', 'a|b', '1'],
    ['x', '', '1000'],
  ];
  expect(toText(rows, 2)).toBe(
    ['  name    of     ms', '  \u001b[1mlonger\u001b[0m  a|b     1', '  x            1000'].join('\n'),
  );
  expect(toMarkdown(rows, 2)).toContain('| --- | --- | ---: |\n');
  expect(toMarkdown(rows)).toContain('| a\\|b | 1 |');
});

test.skipIf(!onPath('wrk'))(
  'counts the CPU time of Redis only for what uses it (needs wrk on PATH)',
  async () => {
    const around = await prepareSurroundings();
    // In the place of a Redis that works for others: a process that is never idle.
    const busy = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
    try {
      const plan = { rounds: 1, warmUpSeconds: 1, generations: 1, load };
      const withBusy = { ...around, redis: { url: '', pid: busy.pid ?? 0 } };
      const subjects = [direct, { ...direct, name: 'with Redis', usesRedis: true }];
      const found = await measure(
        subjects,
        plan,
        withBusy,
        () => {},
        () => {},
      );
      const [without = 0, using] = found.map(({ slices }) => slices[0]?.redisCpuUs);
      expect(without).toBe(0);
      expect(using).toBeGreaterThan(0);
      expect([phase(2), phase(3)].map(({ usesRedis }) => usesRedis)).toEqual([false, true]);
    } finally {
      busy.kill('SIGKILL');
      await Promise.all(around.services.map((service) => service.stop()));
    }
  },
);

test.skipIf(!onPath('wrk'))('measures phase 1 beside its service (needs wrk on PATH)', async () => {
  const around = await prepareSurroundings();
  try {
    const leftOut: string[] = [];
    const plan = { rounds: 1, warmUpSeconds: 1, generations: 1, load };
    const found = await measure(
      [direct, phase(1), phase(9)],
      plan,
      around,
      () => {},
      (name) => leftOut.push(name),
    );
    expect(leftOut).toEqual(['phase 9']);
    expect(found.map(({ name }) => name)).toEqual(['direct', 'phase 1']);
    const [alone, behind] = found.map(({ slices }) => slices[0] as Slice);
    expect(alone).toMatchObject({ cpuUs: 0, errors: 0 });
    expect(behind).toMatchObject({ errors: 0, non2xx: 0 });
    expect(behind?.cpuUs).toBeGreaterThan(10);
    expect(found[1]?.peakBytes).toBeGreaterThan(20e6);
  } finally {
    await Promise.all(around.services.map((service) => service.stop()));
  }
});
