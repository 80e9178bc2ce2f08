import { findPhase, listPhases, type Phase } from '../../repository/phases.ts';
import { listSteps, type Step } from '../../repository/steps.ts';
import { readArguments } from '../../terminal/arguments.ts';
import { CliError } from '../../terminal/cli-error.ts';
import { readNumber, refuseWords } from '../../terminal/option-values.ts';
import { requireWorkspace } from '../workspace/workspace.ts';
import { readSubject, type Subject, type SubjectValues, subjectArguments } from './subject.ts';

const defaultLimitSeconds = 240;

const usage = `npm run verify -- [PHASE] [options]

Judges the gateway in workspace/ step by step, and stops at the first step that is open: the steps of PHASE (default: the
phase of the workspace), then those of the phases before it.
  --all               judges all suites to the end
  --step N            only this step of the phase
  --cmd "COMMAND"     judges another gateway, in any language: the command that starts it in the root folder, without a shell
  --phase             judges the frozen phase itself, in phases/, instead of the workspace
  --only N            only suite N, to the end
  --sentence "TEXT"   only the sentences that contain this text
  --bail              ends at the first sentence that fails
  --hold              keeps the gateway and services of the first failed sentence running, so that you can repeat the call
  --watch             judges again after every change of a file of the gateway
  --limit SECONDS     ends the run after this time; default ${defaultLimitSeconds}
  --help              this text

Exit code 0: every sentence is kept. 1: at least one is not. 2: the gateway could not be judged.`;

/** The options of the command line. */
export interface VerifyOptions {
  subject: Subject;
  phase: Phase;
  /** The suite of --only. */
  only: number | undefined;
  /** The step of --step. */
  step: Step | undefined;
  /** The text of --sentence. */
  sentence: string | undefined;
  bail: boolean;
  hold: boolean;
  all: boolean;
  watch: boolean;
  limitMs: number;
}

/** Reads the command line; undefined after printing the help. A wrong option throws a CliError. */
export function readVerifyOptions(): VerifyOptions | undefined {
  const { values, positionals } = readArguments(usage, {
    ...subjectArguments,
    only: { type: 'string' },
    step: { type: 'string' },
    sentence: { type: 'string' },
    bail: { type: 'boolean', default: false },
    hold: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
    watch: { type: 'boolean', default: false },
    limit: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) {
    console.log(usage);
    return undefined;
  }
  const [word, ...extra] = positionals;
  refuseWords(usage, extra);
  const phase = readPhase(word, values);
  const { sentence, bail, hold, all, watch } = values;
  const only = values.only === undefined ? undefined : readNumber('only', values.only, 0, [1, phase.number]);
  return {
    subject: readSubject(values, phase),
    phase,
    only,
    step: readStep(values.step, only ?? phase.number),
    sentence,
    bail,
    hold,
    all,
    watch,
    limitMs: readNumber('limit', values.limit, defaultLimitSeconds, [1, 3_600]) * 1_000,
  };
}

function readStep(value: string | undefined, suite: number): Step | undefined {
  const steps = listSteps(suite);
  return value === undefined ? undefined : steps[readNumber('step', value, 0, [1, steps.length]) - 1];
}

/** The phase that a gateway claims to be: the one named, otherwise the phase of the workspace. */
export function readPhase(word: string | undefined, { cmd, phase: isFrozen }: SubjectValues): Phase {
  if (word !== undefined) return findPhase(word);
  if (cmd === undefined && !isFrozen) return requireWorkspace();
  const phases = listPhases().map(({ number, name }) => `${number} (${name})`);
  throw new CliError(
    `Name the phase that the gateway claims to be, such as: npm run verify -- 1 ${isFrozen ? '--phase' : '--cmd …'}\nThe phases are: ${phases.join(', ')}.`,
  );
}
