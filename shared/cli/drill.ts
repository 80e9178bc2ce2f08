import { drills } from '../drills/all-drills.ts';
import type { Drill } from '../drills/runner/definition.ts';
import { askPrediction } from '../drills/runner/prediction.ts';
import { describeDrill, listDrills, tellOutcome } from '../drills/runner/report.ts';
import { Interrupted, Scene } from '../drills/runner/scene.ts';
import { isRedisOnPath } from '../process/redis-process.ts';
import { writeJournal } from '../repository/journal.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { refuseWords } from '../terminal/option-values.ts';

const usage = `npm run drill -- [NAME] [options]

Each drill is an experiment with real gateways and real requests. Predict its outcome, run it, and read the explanation.
Without a NAME the command lists the drills.
  --yes    runs the drill without asking for a prediction
  --help   this text`;

const redisMissing = `This drill needs a Redis of its own, and redis-server is not on PATH. Install it:

  sudo apt install redis-server     (Debian, Ubuntu)
  brew install redis                (macOS)
  wsl --install, then as on Ubuntu  (Windows)

Then run the drill again. "npm run drill" lists the others; most of them need no Redis.`;

async function main(): Promise<void> {
  const { values, positionals } = readArguments(usage, {
    yes: { type: 'boolean', short: 'y', default: false },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  const [name, ...rest] = positionals;
  refuseWords(usage, rest);
  if (name === undefined) return console.log(listDrills(drills));
  const drill = drills.find((candidate) => candidate.name === name);
  if (!drill) throw new CliError(`There is no drill "${name}".\n\n${listDrills(drills)}`);
  if (drill.needsRedis && !isRedisOnPath()) throw new CliError(redisMissing);
  try {
    await perform(drill, values.yes);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    console.error(`\n${error.message}`);
    process.exitCode = 130;
  }
}

async function perform(drill: Drill, withoutQuestion: boolean): Promise<void> {
  console.log(describeDrill(drill));
  const write = (text: string) => process.stdout.write(text);
  const prediction = withoutQuestion ? undefined : await askPrediction(drill, process.stdin, write);
  console.log('Starting the processes …\n');
  const outcome = await new Scene(console.log).play((scene) => drill.run(scene));
  console.log(tellOutcome(drill, outcome, prediction));
  writeJournal(({ drills: done }) => {
    done[drill.name] = prediction === undefined ? null : prediction === outcome.answer;
  });
  if (outcome.answer !== drill.expected) process.exitCode = 1;
}

// `npm run drill -- NAME | head` closes the pipe early. The exit ends all started processes.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

await runCommand(main);
