import { type ChildProcess, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { askStatus, isHealthy } from '../../process/ask.ts';
import { gatewayEnv } from '../../process/gateway-process.ts';
import { freePort } from '../../process/ports.ts';
import { becomesReady, collectText, startProgram } from '../../process/program.ts';
import { listPhases, type Phase, root } from '../../repository/phases.ts';
import { CliError } from '../../terminal/cli-error.ts';
import { lastWords } from './last-words.ts';
import { killHeirs } from './leftovers.ts';
import { tellOverload } from './overload.ts';
import type { Subject } from './subject.ts';

const host = '127.0.0.1';
const defaultPort = 3000;
const probeMs = 5_000;
const stopMs = 3_000;
const exitDelayMs = 100;
// Whatever the gateway starts inherits it.
const mark = `tried-by-${process.pid}`;

const started = new Set<ChildProcess>();
// Before program.ts kills the command itself: without it, taskkill cannot find its children.
process.prependOnceListener('exit', () => {
  for (const child of started) endAll(child);
});

/** Thrown when the gateway cannot be judged. The message says why, and what to do. */
export class NotJudged extends CliError {}

/** The result of a start with the config of a phase. */
export interface StartAttempt {
  phase: Phase;
  /** How the gateway ended and its output; undefined when it started. */
  refusal: string | undefined;
}

/**
 * Starts the gateway once before the suites run, with the demo config of the phase, and sends it three requests. When it
 * refuses this config, the configs of the earlier phases are tried. Throws a NotJudged when no suite can run.
 */
export async function tryOut(
  subject: Subject,
  phase: Phase,
  { startMs, port }: { startMs: number; port?: number },
): Promise<StartAttempt[]> {
  const earlier = listPhases().filter(({ number }) => number <= phase.number);
  const tried: StartAttempt[] = [];
  for (const candidate of earlier.reverse()) {
    const refusal = await tryPhase(subject, candidate, startMs, port ?? (await freePort()));
    tried.push({ phase: candidate, refusal });
    if (refusal === undefined) return tried;
  }
  const [first] = tried;
  throw new NotJudged(
    `The gateway does not start: ${subject.command}\n` +
      `With the config phases/${phase.name}/gateway.json ${first?.refusal}\n` +
      'Next: start it by hand and fix what it reports. GATEWAY_CONFIG names its config and PORT its port; ' +
      'docs/contract.md#environment',
  );
}

/** Undefined when the gateway starts; how it ended when it does not. */
async function tryPhase(
  subject: Subject,
  phase: Phase,
  startMs: number,
  port: number,
): Promise<string | undefined> {
  if (await askStatus(port, 'GET', '/health')) {
    throw new NotJudged(
      `Something answers on ${host}:${port} before the gateway is started, so the verdict would be about that process.\n` +
        'Next: stop what listens there, perhaps a gateway of an earlier run.',
    );
  }
  // A path relative to the root folder, where the command runs: messages that contain it stay short.
  const config = `phases/${phase.name}/gateway.json`;
  const { child } = startProgram(subject.words, {
    cwd: root,
    env: {
      ...gatewayEnv({ port, adminPort: 0 }, config),
      REDIS_URL: '',
      LOG_LEVEL: 'info',
      PROGRAMS_FOLDER: mark,
    },
    // A process group of its own, so that endAll() also ends the children of the command.
    detached: process.platform !== 'win32',
  });
  started.add(child);
  const [stdout, stderr] = [collectText(child.stdout), collectText(child.stderr)];
  const output = () => quote({ stdout: stdout(), stderr: stderr() });
  let end: string | undefined;
  child.once('error', (error: NodeJS.ErrnoException) => {
    end = error.code ?? error.message;
  });
  child.once('exit', (code, signal) => {
    end = signal ? `by ${signal}` : `with exit code ${code}`;
  });
  try {
    // Not the end of the output: the children of the command may keep it open.
    if (await becomesReady({ hasEnded: () => end !== undefined }, () => isHealthy(port), startMs)) {
      await probe(port, subject, () => end && `It ended ${end}. ${output()}`);
      await checkStop(child, port, subject);
      return undefined;
    }
    if (end === 'ENOENT') {
      throw new NotJudged(
        `There is no command "${subject.words[0]}".\nNext: check the spelling and PATH. The command runs in the root folder of the repository.`,
      );
    }
    if (end === undefined) {
      throw new NotJudged(
        `The gateway runs, but GET /health on ${host}:${port} is not answered with 200 within ${startMs / 1000} s: ${subject.command}\n` +
          `${output()}\n${nextWhenLate(`check that it listens on the port in PORT. ${await findElsewhere(port)}`)}`.trimEnd(),
      );
    }
    // Output may arrive after the exit event.
    await sleep(exitDelayMs);
    return `it ended ${end}. ${output()}`;
  } finally {
    started.delete(child);
    endAll(child);
  }
}

/** Refuses a gateway that answers every request alike, or none. Nearly all tests would fail for that one reason. */
async function probe(port: number, { command }: Subject, exitText: () => string | undefined): Promise<void> {
  const requests: Array<[method: string, target: string]> = [
    ['GET', '/no/route/leads/here'],
    ['POST', '/no/route/leads/there?x=1'],
    ['DELETE', '/nor/there'],
  ];
  const answers = await Promise.all(
    requests.map(([method, target]) => askStatus(port, method, target, { timeoutMs: probeMs })),
  );
  const shown = requests.map(
    ([method, target], i) =>
      `  ${method} ${target} gets ${answers[i] ?? `no answer within ${probeMs / 1_000} s`}`,
  );
  const todo = 'answer 404 to a path that no route matches; docs/contract.md#phase-1-routing';
  const next = `Next: ${todo}`;
  // The exit event may come shortly after the end of the connections.
  if (answers.includes(undefined)) await sleep(exitDelayMs);
  const end = exitText();
  if (end !== undefined)
    throw new NotJudged(`The gateway answers GET /health, and then exits: ${command}\n${end}\n${next}`);
  if (answers.every((answer) => answer === undefined)) {
    throw new NotJudged(
      `The gateway answers GET /health, and then hangs: ${command}\n${shown.join('\n')}\n${nextWhenLate(todo)}`,
    );
  }
  if (answers.every((answer) => answer === 200)) {
    throw new NotJudged(
      `The gateway answers 200 to every request, so its responses prove nothing: ${command}\n${shown.join('\n')}\n${next}`,
    );
  }
}

/** The suites stop a gateway with a signal to the process that they started. It must be the gateway itself. */
async function checkStop(child: ChildProcess, port: number, { command }: Subject): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await Promise.race([ended, sleep(stopMs)]);
  if (child.exitCode === null && child.signalCode === null) return; // a test of suite 1 checks this
  if (!(await askStatus(port, 'GET', '/health'))) return;
  throw new NotJudged(
    `The command ends at SIGTERM, but the gateway that it started keeps running: ${command}\n` +
      'It is a wrapper that does not pass the signal on, like "go run", "cargo run" and some scripts.\n' +
      'Next: name the program itself. Build it first, such as go build -o workspace/gw ./gw, then --cmd workspace/gw',
  );
}

/** The last lines about a gateway that was not in time. On a machine with other work, that may be the reason. */
function nextWhenLate(todo: string): string {
  const overload = tellOverload();
  return overload ? `${overload}\nNext: end other programs, then judge again.` : `Next: ${todo}`;
}

async function findElsewhere(port: number): Promise<string> {
  if (port === defaultPort || !(await askStatus(defaultPort, 'GET', '/health'))) return '';
  return `Something answers on port ${defaultPort}.`;
}

function quote({ stdout, stderr }: { stdout: string; stderr: string }): string {
  const shown = lastWords(stderr.trim() || stdout.trim(), 16);
  if (shown.length === 0) return 'It printed nothing.';
  return `It printed:\n${shown.map((line) => `  ${line}`).join('\n')}`;
}

function endAll({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  if (process.platform === 'win32') {
    spawnSync('taskkill', ['/pid', String(pid), '/T', '/F'], { windowsHide: true });
    return;
  }
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group has no process left.
  }
  killHeirs(mark);
}
