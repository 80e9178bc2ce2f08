import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../cli/ask.ts';
import { CliError } from '../cli/cli-error.ts';
import { listPhases, type Phase, root } from '../cli/phases.ts';
import { freePort } from '../contract/harness/free-port.ts';
import type { Subject } from './subject.ts';

const host = '127.0.0.1';
const defaultPort = 3000;
const probeMs = 5_000;
const stopMs = 3_000;
const newsMs = 100;

const started = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of started) endAll(child);
});

/** The gateway cannot be judged at all. The message says why, and what to do. */
export class NotJudged extends CliError {}

/** What a gateway made of the config of a phase. */
export interface Acceptance {
  phase: Phase;
  /** What it said when it refused, undefined when it started. */
  refusal: string | undefined;
}

/**
 * Starts the gateway once, before any suite does, with the demo config of the phase, and asks it three things. When it
 * refuses this config, that of an earlier phase is tried. A NotJudged says why no suite could be run.
 */
export async function tryOut(
  subject: Subject,
  phase: Phase,
  { startMs, port }: { startMs: number; port?: number },
): Promise<Acceptance[]> {
  const earlier = listPhases().filter(({ number }) => number <= phase.number);
  const tried: Acceptance[] = [];
  for (const candidate of earlier.reverse()) {
    const refusal = await tryPhase(subject, candidate, startMs, port ?? (await freePort()));
    tried.push({ phase: candidate, refusal });
    if (refusal === undefined) return tried;
  }
  const [first] = tried;
  throw new NotJudged(
    `The gateway does not start: ${subject.command}\n` +
      `With the config phases/${phase.name}/gateway.json ${first?.refusal}\n` +
      'Next: start it by hand and mend what it says. It gets its config by GATEWAY_CONFIG and its port by PORT; ' +
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
  if (await ask(port, 'GET', '/health')) {
    throw new NotJudged(
      `Something answers on ${host}:${port}, and the gateway has not been started yet: no verdict would be about it.\n` +
        'Next: stop what listens there, perhaps a gateway of an earlier run.',
    );
  }
  const [command = '', ...args] = subject.words;
  // Relative to the root folder, where the command runs: what it says of the file stays short.
  const config = `phases/${phase.name}/gateway.json`;
  const child = spawn(command, args, {
    cwd: root,
    env: {
      ...process.env,
      REDIS_URL: '',
      LOG_LEVEL: 'info',
      HOST: host,
      PORT: String(port),
      ADMIN_HOST: host,
      ADMIN_PORT: '0',
      GATEWAY_CONFIG: config,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that what the command may leave behind can be ended with it.
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
  started.add(child);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  let end: string | undefined;
  child.once('error', (error: NodeJS.ErrnoException) => {
    end = error.code ?? error.message;
  });
  child.once('exit', (code, signal) => {
    end = signal ? `by ${signal}` : `with exit code ${code}`;
  });
  try {
    const deadline = performance.now() + startMs;
    while (end === undefined && performance.now() < deadline) {
      if ((await ask(port, 'GET', '/health'))?.status === 200) {
        await probe(port, subject, () => end && `It ended ${end}. ${quote(output)}`);
        await checkStop(child, port, subject);
        return undefined;
      }
      await sleep(20);
    }
    if (end === 'ENOENT') {
      throw new NotJudged(
        `There is no command "${command}".\nNext: check its spelling, and that it is on PATH. It runs in the root folder of the repository.`,
      );
    }
    if (end === undefined) {
      throw new NotJudged(
        `The gateway runs, but GET /health on ${host}:${port} is not answered with 200 within ${startMs / 1000} s: ${subject.command}\n` +
          `${quote(output)}\nNext: does it listen on the port that PORT says? ${await findElsewhere(port)}`.trimEnd(),
      );
    }
    // The last words may come after the exit.
    await sleep(newsMs);
    return `it ended ${end}. ${quote(output)}`;
  } finally {
    started.delete(child);
    endAll(child);
  }
}

/** A gateway that says the same to everything, or nothing, would only make noise in the suites. */
async function probe(port: number, { command }: Subject, death: () => string | undefined): Promise<void> {
  const requests: Array<[method: string, target: string]> = [
    ['GET', '/no/route/leads/here'],
    ['POST', '/no/route/leads/there?x=1'],
    ['DELETE', '/nor/there'],
  ];
  const answers = await Promise.all(requests.map(([method, target]) => ask(port, method, target, probeMs)));
  const shown = requests.map(
    ([method, target], i) =>
      `  ${method} ${target} gets ${answers[i]?.status ?? `no answer within ${probeMs / 1_000} s`}`,
  );
  const next = 'Next: answer 404 to a path that no route matches; docs/contract.md#phase-1-routing';
  // The news that it has died may come a moment later than the end of its connections.
  if (answers.includes(undefined)) await sleep(newsMs);
  const end = death();
  if (end !== undefined)
    throw new NotJudged(`The gateway answers GET /health, and then dies: ${command}\n${end}\n${next}`);
  if (answers.every((answer) => answer === undefined)) {
    throw new NotJudged(
      `The gateway answers GET /health, and then hangs: ${command}\n${shown.join('\n')}\n${next}`,
    );
  }
  if (answers.every((answer) => answer?.status === 200)) {
    throw new NotJudged(
      `The gateway answers 200 to everything, so nothing it says means anything: ${command}\n${shown.join('\n')}\n${next}`,
    );
  }
}

/** The suites stop gateways by a signal to the process that they have started: that must be the gateway itself. */
async function checkStop(child: ChildProcess, port: number, { command }: Subject): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await Promise.race([ended, sleep(stopMs)]);
  if (child.exitCode === null && child.signalCode === null) return; // a sentence of suite 1 is about this
  if (!(await ask(port, 'GET', '/health'))) return;
  throw new NotJudged(
    `The command ends at SIGTERM, and the gateway behind it goes on: ${command}\n` +
      'It is a wrapper that keeps the signal to itself, as "go run", "cargo run" and some scripts do.\n' +
      'Next: name the program itself. Build it first, such as go build -o workspace/gw ./gw, then --cmd workspace/gw',
  );
}

async function findElsewhere(port: number): Promise<string> {
  if (port === defaultPort || !(await ask(defaultPort, 'GET', '/health'))) return '';
  return `Something does answer on port ${defaultPort}.`;
}

// Frames of Node and of packages, and Node's version behind them: ten such lines bury the one that matters.
const noise = /^\s+at .*(?:node_modules|node:)|^Node\.js v/;

/** A compiler names the mistake first, some languages last: of a long text both ends are kept. */
function quote({ stdout, stderr }: { stdout: string; stderr: string }): string {
  const said = (stderr.trim() || stdout.trim())
    .split('\n')
    .filter((line) => line.trim() && !noise.test(line));
  const told = said.length > 16 ? [...said.slice(0, 8), '…', ...said.slice(-8)] : said;
  return told.length === 0 ? 'It said nothing.' : `It said:\n${told.map((line) => `  ${line}`).join('\n')}`;
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
    // Nobody is left of the group.
  }
}
