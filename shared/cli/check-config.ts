import { type Stats, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { findOddities } from '../config/oddities.ts';
import { type GatewayFile, loadPhaseConfig } from '../config/phase-config.ts';
import { readText } from '../repository/phase-files.ts';
import { findPhase, listPhases, type Phase } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { count } from '../terminal/count.ts';
import { refuseWords } from '../terminal/option-values.ts';

const usage = `npm run check-config -- FILE [options]

Says whether a gateway would start with the config FILE, in the words of its start, and what is legal but odd in it.
The environment is not checked. The exit code is 1 if the gateway would not start.
  --phase NUMBER   the phase that would start; default ${findPhase(undefined).number}
  --help           this text`;

async function main(): Promise<void> {
  const { values, positionals } = readArguments(usage, {
    phase: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  const [word, ...extra] = positionals;
  if (!word) throw new CliError(`Name the config file.\n\n${usage}`);
  refuseWords(usage, extra);
  const phase = findPhase(values.phase);
  const file = findFile(word);
  const { read } = await loadPhaseConfig(phase);
  const result = read(file);
  if ('refusal' in result) throw new CliError(`${result.refusal}\n\n${await adviseAfter(phase, file)}`);
  console.log(`Phase ${phase.number} would start with ${file}.\n`);
  report(result.config);
  console.log(`Next: npm run phase:${phase.number} -- --config ${quote(file)}`);
}

// A config with 20,000 services and routes has 3 MB. To find repeated keys takes about a hundred times as much memory.
const maxBytes = 10_000_000;

/** The path as a start would get it. Throws a CliError for what is no regular file, such as a pipe, and for a huge file. */
function findFile(word: string): string {
  // npm runs scripts in the root folder; INIT_CWD is the current folder of the user.
  const here = process.env.INIT_CWD ?? process.cwd();
  const file = here === process.cwd() ? word : resolve(here, word);
  const stats = statOf(file);
  if (!stats) throw new CliError(`There is no file ${file}. Next: check its path, or copy a gateway.json.`);
  if (stats.size > maxBytes)
    throw new CliError(
      `${file} has ${stats.size} bytes. Next: name a config file, which has at most ${maxBytes}.`,
    );
  if (stats.isFile()) return file;
  const what = stats.isDirectory() ? 'a folder' : 'not a regular file';
  throw new CliError(`${file} is ${what}. Next: name a config file, such as gateway.json.`);
}

function statOf(file: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false });
  } catch (error) {
    throw new CliError(`Cannot read ${file}: ${(error as Error).message}. Next: check its path.`);
  }
}

/** What to do about a file that a phase refuses. It may be meant for another phase. */
async function adviseAfter(refusing: Phase, file: string): Promise<string> {
  for (const phase of listPhases().toReversed()) {
    if (phase.number === refusing.number) continue;
    const { read } = await loadPhaseConfig(phase);
    if ('refusal' in read(file)) continue;
    return `Phase ${phase.number} would start with it. Next: npm run check-config -- ${quote(file)} --phase ${phase.number}`;
  }
  return `Phase ${refusing.number} would not start. Next: mend what is named above. docs/config.md explains each message under "What is refused".`;
}

function report(config: GatewayFile): void {
  const oddities = findOddities(config, readDemoDigests());
  const headline =
    oddities.length === 0
      ? 'Nothing in it is odd.'
      : `${count(oddities.length, 'thing')} in it may not be meant:`;
  console.log([headline, ...oddities.map(({ field, why }) => `  ${field}: ${why}`), ''].join('\n'));
}

function readDemoDigests(): Set<string> {
  const demo: GatewayFile = JSON.parse(readText(join(findPhase(undefined).folder, 'gateway.json')));
  return new Set(demo.clients?.flatMap(({ keySha256 }) => keySha256));
}

function quote(file: string): string {
  return /^[\w./\\:-]+$/.test(file) ? file : `"${file}"`;
}

await runCommand(main);
