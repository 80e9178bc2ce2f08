import { readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { judgeGoals } from '../bench/goals.ts';
import { loadProgram } from '../bench/load.ts';
import { installPeers } from '../bench/peers.ts';
import { goalRows, noiseSentence, writeCostReport } from '../bench/report.ts';
import { describeMachine, type Results } from '../bench/results.ts';
import { runScenario, type Scenario, scenarios } from '../bench/scenarios.ts';
import { prepareSurroundings } from '../bench/surroundings.ts';
import { tabulate } from '../bench/tables.ts';
import { leaveGatewayCore } from '../process/cores.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { toText } from '../terminal/table.ts';

const usage = `npm run bench -- [options]

Measures the CPU time per request of each phase and compares it with the goals. This takes about half an hour.
It uses wrk, nginx and redis-server if they are on PATH; without wrk it needs --peers.
  --peers        measures other gateways too; installs those from npm into shared/bench/peers
  --quick        takes two minutes; the figures are rough
  --only A,B     measures only these scenarios: ${scenarios.map(({ name }) => name).join(', ')}
  --json FILE    writes the figures of every slice to a file
  --from FILE    reads such a file instead of measuring; with --only, those scenarios are measured again
  --report       writes docs/costs.md and its charts; installs echarts, with the peers
  --help         this text

The scenario soak takes ten minutes. It runs only with --soak, or when --only names it.
  --soak         runs soak after the other scenarios`;

async function main(): Promise<void> {
  const { values, positionals } = readArguments(usage, {
    peers: { type: 'boolean' },
    quick: { type: 'boolean' },
    only: { type: 'string' },
    json: { type: 'string' },
    from: { type: 'string' },
    report: { type: 'boolean' },
    soak: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
  if (positionals.length > 0) throw new CliError(`The benchmark takes no names; use --only.\n\n${usage}`);
  if (values.help) {
    console.log(usage);
    return;
  }
  const chosen = choose(values.only, values.quick ?? false, values.soak ?? false);
  const kept = values.from === undefined ? undefined : readResults(values.from);
  // Before the measurement: without echarts the report could not be written half an hour later.
  if (values.peers || values.report) {
    say('installing the peers');
    await installPeers();
    say('');
  }
  const measured = kept && values.only === undefined ? undefined : await run(chosen, values);
  const results = merge(kept, measured);
  if (values.json) writeFileSync(values.json, JSON.stringify(results));
  console.log(`\n${noiseSentence(results)}\n\n${toText(goalRows(judgeGoals(results)))}\n`);
  for (const { scenario, name, why } of results.leftOut)
    console.log(`Left out of ${scenario}: ${name}: ${why}`);
  if (values.report)
    console.log(
      `Written: ${writeCostReport(results)
        .map((file) => relative('', file))
        .join(', ')}`,
    );
  else if (values.json)
    console.log(`Next: --from ${values.json} --report writes docs/costs.md from these figures.`);
  else console.log('Next: --json FILE keeps the figures, --report writes docs/costs.md.');
}

function choose(only: string | undefined, quick: boolean, soak: boolean): Scenario[] {
  if (only === undefined) {
    return scenarios.filter((scenario) => (quick ? scenario.quick : !scenario.onDemand || soak));
  }
  return only.split(',').map((name) => {
    const scenario = scenarios.find((candidate) => candidate.name === name);
    if (scenario) return scenario;
    throw new CliError(
      `There is no scenario "${name}". They are: ${scenarios.map((one) => one.name).join(', ')}.`,
    );
  });
}

/** The kept results, in which the scenarios that were measured now are replaced. */
function merge(kept: Results | undefined, measured: Results | undefined): Results {
  if (!kept || !measured) return (measured ?? kept) as Results;
  const isNew = (name: string) => measured.found.some((found) => found.name === name);
  const found = [...kept.found.filter(({ name }) => !isNew(name)), ...measured.found];
  const order = scenarios.map(({ name }) => name);
  return {
    ...measured,
    found: found.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name)),
    leftOut: [...kept.leftOut.filter(({ scenario }) => !isNew(scenario)), ...measured.leftOut],
  };
}

function readResults(file: string): Results {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CliError(`Cannot read ${file}: ${(error as Error).message}. Make it with --json.`);
  }
}

async function run(chosen: Scenario[], options: { peers?: boolean; quick?: boolean }): Promise<Results> {
  leaveGatewayCore();
  const load = loadProgram();
  const around = await prepareSurroundings();
  const plan = options.quick
    ? { rounds: 3, warmUpSeconds: 1, generations: 1 }
    : { rounds: 15, warmUpSeconds: 3, generations: 3 };
  const results: Results = {
    date: new Date().toISOString(),
    quick: options.quick ?? false,
    rounds: plan.rounds,
    machine: describeMachine(around, load),
    found: [],
    leftOut: [],
  };
  for (const [i, scenario] of chosen.entries()) {
    const found = await runScenario(
      scenario,
      plan,
      options.peers ?? false,
      around,
      (what) => say(`${i + 1} of ${chosen.length} ${scenario.name}: ${what}`),
      (name, why) =>
        results.leftOut.push({ scenario: scenario.name, name, why: why.replace(/\s+/g, ' ').slice(0, 300) }),
    );
    say('');
    results.found.push(found);
    for (const { label, measured } of found.parts) {
      console.log(
        `\n${scenario.title}${label && `: ${label}`}\n${toText(tabulate(measured, scenario.extra))}`,
      );
    }
  }
  return results;
}

/** Shows progress on one line that is overwritten. Prints nothing when stderr is not a terminal. */
function say(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`);
}

await runCommand(main);
process.exit(); // the exit listener in program.ts kills every process that still runs
