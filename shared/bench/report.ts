import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../metrics/statistics.ts';
import { root } from '../repository/phases.ts';
import { toMarkdown } from '../terminal/table.ts';
import { cpuChart, loadPainter, themes } from './charts.ts';
import { explanations } from './explanations.ts';
import { type Judged, judgeGoals, spreadOf } from './goals.ts';
import { compare, cpuOf, figures, find, type Results } from './results.ts';
import { type Found, scenarios } from './scenarios.ts';
import { tabulate } from './tables.ts';

/** Writes docs/costs.md and its charts, and returns the paths. Needs what installPeers() installs. */
export function writeCostReport(results: Results): string[] {
  const paint = loadPainter();
  const charts = join(root, 'docs', 'costs');
  rmSync(charts, { recursive: true, force: true });
  mkdirSync(charts, { recursive: true });
  const files: string[] = [];
  const write = (file: string, text: string) => {
    writeFileSync(file, text);
    files.push(file);
  };
  for (const { name, parts } of results.found) {
    const [part] = parts;
    if (parts.length !== 1 || !part || part.measured.length < 2) continue;
    const title = scenarios.find((scenario) => scenario.name === name)?.title ?? name;
    for (const theme of themes) {
      write(join(charts, `${name}-${theme}.svg`), paint(cpuChart(title, part.measured, theme)));
    }
  }
  write(join(root, 'docs', 'costs.md'), toPage(results));
  return files;
}

function toPage(results: Results): string {
  const judged = judgeGoals(results);
  const missed = judged.filter(({ met }) => met === false);
  const soaked = results.found.some(({ name }) => name === 'soak');
  return `${[
    '# What each phase costs',
    `This page is generated: \`npm run bench -- --peers ${soaked ? '--soak ' : ''}--report\`. It was measured on ${results.date.slice(0, 10)}.`,
    'The main figure is the CPU time of the gateway per request, user and system, as the operating system counts it. It stays valid when other programs use the machine. The subjects are measured in turn, in slices of one second, round after round. Each round gives one ratio of two subjects. The ratio in a table is the median over all rounds, so it may differ from the quotient of the two medians. Where differences are small, all subjects are started three times for a third of the rounds each, because V8 optimises the same code differently from process to process. The other figures are medians, with the lowest and highest value in brackets. Where a phase that does more work seems to cost less and the brackets overlap, the difference is random.',
    ...(results.quick ? ['**This was a quick run. Its figures are rough.**'] : []),
    toMarkdown([['machine', ''], ...Object.entries({ ...results.machine, rounds: String(results.rounds) })]),
    '## The price of each phase',
    ...prices(results),
    '## Goals',
    `The goals were set before the first measurement. The goal of phase 4 / phase 3 is the exception: it is 1 plus the noise of the run, because a closed circuit should have no measurable cost. ${noiseSentence(results)}`,
    toMarkdown(goalRows(judged)),
    ...(missed.length > 0 ? ['### Missed goals and their reasons', ...missed.map(explain)] : []),
    '## What was tried',
    'Each change was measured against the code it would replace, before the measurements on this page:',
    toMarkdown([
      ['tried', 'CPU per request', 'kept'],
      ...explanations.tried.map(({ what, effect, kept }) => [what, effect, kept ? 'yes' : 'no']),
    ]),
    ...results.found.flatMap(section),
    ...(results.leftOut.length > 0
      ? [
          '## Left out',
          results.leftOut.map(({ scenario, name, why }) => `- ${scenario}, ${name}: ${why}`).join('\n'),
        ]
      : []),
  ].join('\n\n')}\n`;
}

function prices(results: Results): string[] {
  const cost = (name: string) => {
    const measured = find(results, 'forward', name);
    return measured && median(figures(measured, cpuOf));
  };
  return explanations.phases.flatMap(({ phase, text }) => {
    const own = cost(`phase ${phase}`);
    if (own === undefined) return [];
    const before =
      phase === 1 ? undefined : compare(results, 'forward', [`phase ${phase}`, `phase ${phase - 1}`]);
    const step = before ? `, ${median(before).toFixed(2)} times phase ${phase - 1}` : '';
    return [`**Phase ${phase}**: ${own.toFixed(0)} µs per request${step}. ${text}`];
  });
}

/** One sentence about the noise, from the subject that is measured twice. */
export function noiseSentence(results: Results): string {
  const spread = spreadOf(results);
  if (spread === undefined) return 'No subject was measured twice, so the noise is unknown.';
  return `Phase 1 was measured twice in each round. The quartiles of the ratio between the two lie within ${(spread * 100).toFixed(1)} % of 1. A smaller difference is noise.`;
}

/** The goals as rows of a table. The first row is the head. */
export function goalRows(judged: Judged[]): string[][] {
  return [
    ['figure', 'goal', 'measured', ''],
    ...judged.map(({ figure, limit, value, met, scenario }) => [
      figure,
      `≤ ${limit.toFixed(2)}`,
      value === null ? '–' : readably(value, limit),
      met === null ? `not measured (${scenario})` : met ? 'pass' : 'MISS',
    ]),
  ];
}

function explain({ figure, value, limit }: Judged): string {
  const why = explanations.misses[figure] ?? 'Not explained yet: profile it with node --cpu-prof.';
  return `- **${figure}**: ${readably(value as number, limit)} instead of ${limit.toFixed(2)}. ${why}`;
}

/** Two decimals, or three where two would show a value above the limit as equal to it. */
function readably(value: number, limit: number): string {
  return value.toFixed(value.toFixed(2) === limit.toFixed(2) && value > limit ? 3 : 2);
}

function section({ name, parts }: Found): string[] {
  const scenario = scenarios.find((candidate) => candidate.name === name);
  if (!scenario || parts.length === 0) return [];
  const chart = `<picture><source media="(prefers-color-scheme: dark)" srcset="costs/${name}-dark.svg"><img alt="${scenario.title}: CPU per request" src="costs/${name}-light.svg"></picture>`;
  return [
    `## ${scenario.title}`,
    scenario.note,
    ...(parts.length === 1 && (parts[0]?.measured.length ?? 0) > 1 ? [chart] : []),
    ...parts.flatMap(({ label, measured }) => [
      ...(label ? [`### ${label}`] : []),
      toMarkdown(tabulate(measured, scenario.extra)),
    ]),
  ];
}
