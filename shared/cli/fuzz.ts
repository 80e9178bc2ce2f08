import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { findPhase, listPhases, root } from '../repository/phases.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { readNumber, refuseWords } from '../terminal/option-values.ts';

const defaultMinutes = 10;

const usage = `npm run fuzz -- [PHASE] [options]

Sends random bytes, good and bad, from clients and services through a gateway, and judges what comes out by RFC 9112.
The default is the newest phase. Ends with the smallest case that fails, and the command that repeats it.
  --cmd "COMMAND"   another gateway of level PHASE: the command that starts it in the root folder, without a shell
  --minutes N       how long; default ${defaultMinutes}
  --cases N         until so many byte sequences of clients were sent, instead of --minutes
  --seed N          where the random numbers begin; the default is another one each time
  --case N          only this case of the seed
  --help            this text`;

function main(): void {
  const { values, positionals } = readArguments(usage, {
    cmd: { type: 'string' },
    minutes: { type: 'string' },
    cases: { type: 'string' },
    seed: { type: 'string' },
    case: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  const [word, ...rest] = positionals;
  refuseWords(usage, rest);
  const phase = findPhase(word ?? String(listPhases().length));
  const seed = readNumber('seed', values.seed, Date.now() % 1_000_000_000, [0, 2 ** 31 - 1]);
  const minutes = readNumber('minutes', values.minutes, defaultMinutes, [1, 10_000]);
  const cases = readNumber('cases', values.cases, 0, [1, 1_000_000_000]);
  const only = readNumber('case', values.case, -1, [0, 2 ** 31 - 1]);
  const isTimed = cases === 0 && only === -1;
  const gateway = values.cmd ?? JSON.stringify(['node', '--import', 'tsx', join(phase.folder, 'server.ts')]);
  const end = only >= 0 ? `case ${only}` : isTimed ? `${minutes} minutes` : `${cases} cases`;
  console.log(`Phase ${phase.name}, seed ${seed}, ${end}`);
  const { status } = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules', 'vitest', 'vitest.mjs'),
      'run',
      '--config',
      join('shared', 'contract', 'vitest.config.ts'),
      '1-routing/14-the-dirty-dozen',
      '--testNamePattern',
      '^any bytes ',
    ],
    {
      cwd: root,
      stdio: 'inherit',
      env: {
        ...process.env,
        GATEWAY_COMMAND: gateway,
        GATEWAY_LEVEL: String(phase.number),
        ANY_BYTES_SEED: String(seed),
        ANY_BYTES_CASES: String(cases),
        ANY_BYTES_MINUTES: isTimed ? String(minutes) : '',
        ANY_BYTES_ONLY: only >= 0 ? String(only) : '',
      },
    },
  );
  if (status !== 0) throw new CliError(`Found with seed ${seed}. The message above has the bytes.`);
}

await runCommand(main);
