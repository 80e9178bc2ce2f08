import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { toMarkdown } from '../terminal/table.ts';
import type { Result, Storm, StormRun } from './definition.ts';
import { judgeFigure, judgeStorm } from './verdict.ts';

/** The figures of one storm as rows. The first row is the head. */
export function figureRows({ figures, lateness }: Result): string[][] {
  return [
    ['figure', 'must hold', 'measured', ''],
    ...figures.map((figure) => [
      figure.name,
      figure.must || '–',
      figure.measured,
      judgeFigure(figure, lateness),
    ]),
  ];
}

/** One row per storm. The first row is the head. */
export function summaryRows(results: Result[], storms: Storm[]): string[][] {
  return [
    ['storm', 'seconds', 'load process late, p99 and most', ''],
    ...results.map((result) => [
      titleOf(result, storms),
      result.seconds.toFixed(0),
      latenessOf(result),
      judgeStorm(result),
    ]),
  ];
}

/** Writes the document. */
export function writeReliabilityReport(run: StormRun, storms: Storm[], file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, toPage(run, storms));
}

/** The document as Markdown. */
export function toPage({ date, quick, gateway, machine, results }: StormRun, storms: Storm[]): string {
  return `${[
    '# What the gateway withstands',
    `This page is generated: \`npm run storm -- --report\`. It was measured on ${date.slice(0, 10)} with ${gateway}.`,
    'A storm is a kind of trouble that a gateway meets in operation. The gateway, its services, Redis and the balancers are real processes on one machine, and all requests are real HTTP. For each storm this page says what is done, what must hold, and what was measured.',
    ...(quick ? ['**This was a quick run: fewer clients, and less time.**'] : []),
    toMarkdown([['machine', ''], ...Object.entries(machine)]),
    '## Summary',
    toMarkdown(summaryRows(results, storms)),
    '`pass`: what must hold was measured. `MISS`: it was not. `disturbed`: the process that sent the requests was itself late, because the machine had other work to do, so figures that depend on time are not judged. That is so when one timer in a hundred was late by more than 20 ms, or one timer by as much as would change the figure. `not run`: something is missing here, and the reason is given below. A figure without a verdict is only shown.',
    ...results.flatMap((result) => section(result, storms)),
  ].join('\n\n')}\n`;
}

function section(result: Result, storms: Storm[]): string[] {
  const storm = storms.find(({ name }) => name === result.name);
  if (!storm) return [];
  return [
    `## ${storm.title}`,
    `**What is done.** ${storm.done}`,
    `**What must hold.** ${storm.owed}`,
    ...(result.notRun === undefined ? [toMarkdown(figureRows(result))] : [`**Not run**: ${result.notRun}.`]),
    ...(result.notes.length > 0 ? [result.notes.map((note) => `- ${note}`).join('\n')] : []),
  ];
}

function titleOf({ name }: Result, storms: Storm[]): string {
  return storms.find((storm) => storm.name === name)?.title ?? name;
}

function latenessOf({ lateness }: Result): string {
  return lateness ? `${lateness.p99Ms.toFixed(1)} ms, ${lateness.maxMs.toFixed(0)} ms` : '–';
}
