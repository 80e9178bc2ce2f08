import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgsStringToArgv } from 'string-argv';
import { watchLateness } from '../process/lateness.ts';
import { findPhase, root } from '../repository/phases.ts';
import { storms } from '../storm/all-storms.ts';
import type { Result, Storm, StormRun, StormSurroundings } from '../storm/definition.ts';
import { type StormSubject, subjectOf } from '../storm/gateway.ts';
import { figureRows, summaryRows, writeReliabilityReport } from '../storm/report.ts';
import { hasFailed } from '../storm/verdict.ts';
import { versionOf } from '../storm/versions.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { refuseWords } from '../terminal/option-values.ts';
import { toText } from '../terminal/table.ts';

const document = join(root, 'docs', 'reliability.md');

const usage = `npm run storm -- [options]

Puts a real gateway under storms, and compares what it does with what must hold. This takes about 20 minutes.
It uses redis-server, haproxy and nginx if they are on PATH. A storm that lacks one of them is not run.
  --quick           fewer clients and less time: two minutes
  --only A,B        only these storms: STORMS
  --phase N         another phase than the newest
  --cmd "COMMAND"   a gateway of your own: the command that starts it in the root folder, without a shell. It must be the
                    gateway itself, because signals are sent to it. --phase says which phase it implements
  --json FILE       writes the figures to a file
  --from FILE       reads such a file. With --only, these storms are run again; without it, none
  --report          writes docs/reliability.md
  --report-to FILE  writes the document to another file
  --help            this text

Exit code 0: everything that was judged holds. 1: something does not. With CI=true also when a storm was not run.`;

async function main(): Promise<void> {
  const text = usage.replace('STORMS', storms.map(({ name }) => name).join(', '));
  const { values, positionals } = readArguments(text, {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    phase: { type: 'string' },
    cmd: { type: 'string' },
    json: { type: 'string' },
    from: { type: 'string' },
    report: { type: 'boolean', default: false },
    'report-to': { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) {
    console.log(text);
    return;
  }
  refuseWords(text, positionals);
  const chosen = choose(values.only);
  const kept = values.from === undefined ? undefined : readRun(values.from);
  const subject = readSubject(values.phase, values.cmd);
  const measured = kept && values.only === undefined ? [] : await runAll(chosen, subject, values.quick);
  const run: StormRun = {
    date: new Date().toISOString(),
    quick: values.quick,
    gateway: subject.title,
    machine: describeMachine(),
    ...kept,
    results: merge(kept?.results ?? [], measured),
  };
  if (values.json) writeFileSync(values.json, JSON.stringify(run));
  console.log(`\n${toText(summaryRows(run.results, storms))}`);
  const file = values['report-to'] ?? (values.report ? document : undefined);
  if (file !== undefined) {
    writeReliabilityReport(run, storms, resolve(file));
    console.log(`\nWritten: ${file}`);
  }
  if (hasFailed(run.results, process.env.CI === 'true')) process.exitCode = 1;
}

function choose(only: string | undefined): Storm[] {
  if (only === undefined) return storms;
  return only.split(',').map((name) => {
    const storm = storms.find((candidate) => candidate.name === name);
    if (storm) return storm;
    throw new CliError(`There is no storm "${name}". They are: ${storms.map((one) => one.name).join(', ')}.`);
  });
}

function readSubject(phase: string | undefined, command: string | undefined): StormSubject {
  const subject = subjectOf(findPhase(phase));
  if (command === undefined) return subject;
  const words = parseArgsStringToArgv(command);
  if (words.length === 0)
    throw new CliError('--cmd needs a command, such as --cmd "node my-gateway/server.js".');
  return { level: subject.level, title: `\`${command}\``, words, isPhase: false };
}

function readRun(file: string): StormRun {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CliError(`Cannot read ${file}: ${(error as Error).message}. Make it with --json.`);
  }
}

/** The kept results, in which the storms that were run now are replaced. */
function merge(kept: Result[], measured: Result[]): Result[] {
  const all = [...kept.filter(({ name }) => !measured.some((result) => result.name === name)), ...measured];
  const order = storms.map(({ name }) => name);
  return all.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
}

async function runAll(chosen: Storm[], subject: StormSubject, quick: boolean): Promise<Result[]> {
  const results: Result[] = [];
  for (const [i, storm] of chosen.entries()) {
    const say = (what: string) => show(`${i + 1} of ${chosen.length} ${storm.name}: ${what}`);
    const result = await runStorm(storm, { subject, quick, say });
    show('');
    results.push(result);
    const { notRun, notes } = result;
    console.log(
      `\n${storm.title}\n${notRun === undefined ? toText(figureRows(result)) : `  Not run: ${notRun}.`}`,
    );
    for (const note of notes) console.log(`  ${note}`);
  }
  return results;
}

async function runStorm(storm: Storm, around: StormSurroundings): Promise<Result> {
  const notRun = storm.lacks(around);
  if (notRun !== undefined)
    return { name: storm.name, figures: [], lateness: null, notes: [], seconds: 0, notRun };
  const begun = performance.now();
  const late = watchLateness();
  const seconds = () => (performance.now() - begun) / 1000;
  try {
    const { figures, notes = [], lateness = late() } = await storm.run(around);
    return { name: storm.name, figures, notes, lateness, seconds: seconds() };
  } catch (error) {
    // A gateway that ends or hangs in a storm has failed it.
    const measured = (error as Error).message.replace(/\s+/g, ' ').slice(0, 300);
    const figures = [{ name: 'the storm ran to its end', must: 'yes', measured, holds: false }];
    return { name: storm.name, figures, notes: [], lateness: late(), seconds: seconds() };
  }
}

function describeMachine(): Record<string, string> {
  const [processor] = cpus();
  return {
    processor: `${processor?.model.trim() || 'unknown'}, ${cpus().length} cores`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${type()} ${release()}`,
    node: process.version,
    'redis-server': versionOf('redis-server'),
    haproxy: versionOf('haproxy'),
    nginx: versionOf('nginx'),
  };
}

/** Shows progress on one line that is overwritten. Prints nothing when stderr is not a terminal. */
function show(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`);
}

await runCommand(main);
process.exit(); // the exit listeners kill every process that still runs
