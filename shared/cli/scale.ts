import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRedisOnPath } from '../process/redis-process.ts';
import { root } from '../repository/phases.ts';
import { checkRows, runWithShards, type ShardRun } from '../scale/check.ts';
import { figuresFile, readFigures, readGatewayUs } from '../scale/figures.ts';
import { measureRedis } from '../scale/measure.ts';
import { planFor } from '../scale/model.ts';
import { planRows, sources } from '../scale/report.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { readNumber, refuseWords } from '../terminal/option-values.ts';
import { toMarkdown, toText } from '../terminal/table.ts';

// docs/costs.md has no phase 7 yet. In 13 rounds of A/B it cost as much as phase 6, within 2 %.
const costPhase = 6;

const usage = `npm run scale -- --rps N --clients N [options]

Says how many gateways and shards a load needs, from figures that were measured.
  --rps N        counted requests per second
  --clients N    clients that are seen within one window
  --addresses N  addresses without a client that are seen within one window (0)
  --replicas N   replicas of each shard, 0 to 5 (1)
  --measure      measures Redis again and writes shared/scale/figures.json
  --check        lets two gateways count in 1, 3 and 6 shards, compares the result with the model, and writes it to
                 docs/scaling.md. It takes about a minute
  --help         this text`;

async function main(): Promise<void> {
  const { values, positionals } = readArguments(usage, {
    rps: { type: 'string' },
    clients: { type: 'string' },
    addresses: { type: 'string' },
    replicas: { type: 'string' },
    measure: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  refuseWords(usage, positionals);
  if (values.measure) return measure();
  if (values.check) return check();
  if (values.rps === undefined || values.clients === undefined)
    throw new CliError(`--rps and --clients are needed.\n\n${usage}`);
  const load = {
    rps: readNumber('rps', values.rps, 0, [1, 1e9]),
    clients: readNumber('clients', values.clients, 0, [0, 1e10]),
    addresses: readNumber('addresses', values.addresses, 0, [0, 1e10]),
    replicas: readNumber('replicas', values.replicas, 1, [0, 5]),
  };
  const figures = readFigures();
  const gatewayUs = readGatewayUs(readFileSync(join(root, 'docs', 'costs.md'), 'utf8'), costPhase);
  console.log(toText(planRows(planFor(load, gatewayUs, figures))));
  console.log(`\n${sources(gatewayUs, costPhase, figures)}`);
  console.log('\nNext: docs/scaling.md says where this model ends.');
}

async function check(): Promise<void> {
  if (!isRedisOnPath()) throw new CliError('--check needs redis-server and redis-cli on the PATH.');
  const runs: ShardRun[] = [];
  for (const shards of [1, 3, 6]) runs.push(await runWithShards(shards));
  const rows = checkRows(runs, readFigures());
  console.log(toText(rows));
  const page = join(root, 'docs', 'scaling.md');
  const [before, , after] = readFileSync(page, 'utf8').split(
    /(?<=<!-- written by --check -->\n)|(?=<!-- end of --check -->)/,
  );
  if (after === undefined)
    throw new CliError('docs/scaling.md has lost the comments that enclose the table.');
  const day = new Date().toISOString().slice(0, 10);
  writeFileSync(page, `${before}\nMeasured on ${day}.\n\n${toMarkdown(rows)}\n\n${after}`);
  console.log('\nWritten: docs/scaling.md');
}

async function measure(): Promise<void> {
  if (!isRedisOnPath()) throw new CliError('--measure needs redis-server on the PATH.');
  writeFileSync(figuresFile, `${JSON.stringify(await measureRedis(), null, 2)}\n`);
  console.log(`Written: ${figuresFile}`);
}

await runCommand(main);
