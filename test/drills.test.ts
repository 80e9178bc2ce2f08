import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import escapeStringRegexp from 'escape-string-regexp';
import { afterAll, describe, expect, test } from 'vitest';
import manifest from '../package.json' with { type: 'json' };
import { redisAvailable } from '../shared/contract/harness/redis.ts';
import { drills } from '../shared/drills/all-drills.ts';
import { findMarked } from '../shared/drills/runner/code-mark.ts';
import type { Drill } from '../shared/drills/runner/definition.ts';
import { askPrediction } from '../shared/drills/runner/prediction.ts';
import { describeDrill, tellOutcome } from '../shared/drills/runner/report.ts';
import { until } from '../shared/process/until.ts';
import { root } from '../shared/repository/phases.ts';
import { scripts } from '../shared/repository/scripts.ts';

const mostMs = 40_000;
// More drills at once would disturb each other, because they depend on times of about 100 ms.
const atOnce = 3;
const names = drills.map(({ name }) => name);
const temporary = mkdtempSync(join(tmpdir(), 'drills-test-'));
const children = new Set<ChildProcess>();

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await Promise.all([...children].map((child) => once(child, 'close')));
  rmSync(temporary, { recursive: true, force: true });
});

/** `npm run drill -- …` without npm. Its temporary files go to `folder`. */
function start(words: string[], env: NodeJS.ProcessEnv = {}) {
  const folder = mkdtempSync(join(temporary, 'run-'));
  // The pool number gives each drill its own range of ports.
  const pool = String(5 + (drills.findIndex(({ name }) => name === words[0]) % 11));
  const child = spawn(process.execPath, ['--import', 'tsx', 'shared/cli/drill.ts', ...words], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', TMPDIR: folder, TEMP: folder, VITEST_POOL_ID: pool, ...env },
    windowsHide: true,
  });
  children.add(child);
  const seen = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      seen[name] += text;
    });
  }
  const ended = once(child, 'close').then(([code]: Array<number | null>) => {
    children.delete(child);
    return code;
  });
  return { child, folder, seen, ended };
}

/** Runs the command to its end with this input. */
async function run(words: string[], input = '', env: NodeJS.ProcessEnv = {}) {
  const { child, folder, seen, ended } = start(words, env);
  child.stdin.end(input);
  const code = await ended;
  // tsx keeps its compile cache in the folder. The drill must leave nothing there.
  const left = readdirSync(folder).filter((name) => name.startsWith('gateway-drill-'));
  return { code, left, ...seen };
}

const groups = Array.from({ length: Math.ceil(drills.length / atOnce) }, (_, group) =>
  drills.slice(group * atOnce, (group + 1) * atOnce),
);

describe.each(groups)('drills that run together: $name, …', (...group) => {
  // On a busy machine a drill may fail and ask to be run again, so there is one retry.
  test.concurrent.for(group)('$name', { retry: 1 }, async (drill, { expect, skip }) => {
    skip(drill.needsRedis === true && !redisAvailable, 'redis-server is not on PATH');
    const begun = performance.now();
    const { code, left, stdout, stderr } = await run([drill.name, '--yes']);
    expect(performance.now() - begun).toBeLessThan(mostMs);
    expect({ code, stderr, left }, stdout).toEqual({ code: 0, stderr: '', left: [] });
    const parts = [
      drill.about,
      'Starting the processes',
      'Outcome',
      'The answer: ',
      'Why',
      'The code',
      'Next',
    ];
    const places = parts.map((part) => stdout.indexOf(part));
    expect(places, stdout).not.toContain(-1);
    expect(places.toSorted((a, b) => a - b)).toEqual(places);
    const timeline = stdout.slice(places[1], places[2]).match(/^ +\d+ ms {2}\S+/gm) ?? [];
    expect(timeline.length).toBeGreaterThan(2);
    expect(timeline[0]).toMatch(/^ +0 ms/);
    expect(stdout).not.toContain('Your prediction');
    expect(stdout.match(/^ {2}(?:phases|node_modules)\/\S+:\d+ {2}/gm)).toHaveLength(drill.code.length);
  });
});

describe.each([...drills])('the drill $name', (drill) => {
  test('is told in three sentences and a question, and is listed in one line', () => {
    expect(drill.name).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(drill.about).not.toContain('\n');
    for (const sentence of drill.setUp) expect(sentence).toMatch(/^[A-Z].*\.$/);
    expect(drill.question).toMatch(/\?$/);
    if (drill.choices) expect(Object.keys(drill.choices)).toContain(drill.expected);
    else expect(drill.expected).toMatch(/^\d+$/);
  });

  test.each([...drill.code])('names a line that is there exactly once: $marker', (mark) => {
    expect(findMarked(drill.phase, mark)).toHaveLength(1);
  });

  test('says what to do next, and that is there', () => {
    expect(drill.next.length).toBeGreaterThan(0);
    for (const line of drill.next) {
      const [command, target] = line.split(/ {2,}/)[0]?.split(' -- ') ?? [];
      const script = /^npm run (\S+)$/.exec(command ?? '')?.[1];
      if (script === undefined) expect(readFileSync(join(root, command ?? ''), 'utf8')).not.toBe('');
      else expect(Object.keys(scripts)).toContain(script);
      if (script === 'drill') expect(names).toContain(target);
    }
  });
});

test('what a drill needs is a development dependency of an exact version', () => {
  expect(manifest.devDependencies['@fastify/reply-from']).toMatch(/^\d+\.\d+\.\d+$/);
});

describe('the command', () => {
  test('without a name lists every drill with its phase', async () => {
    const { code, stdout } = await run([]);
    expect(code).toBe(0);
    for (const { name, phase, about } of drills) {
      expect(stdout).toMatch(new RegExp(`^  ${phase}-\\S+ +${name} +${escapeStringRegexp(about)}$`, 'm'));
    }
    expect(stdout).toContain('Next: npm run drill -- ');
  });

  test.each([
    [['no-such-drill'], /There is no drill "no-such-drill"\.\n\n.*hidden-retry.*window-edge/s],
    [['window-edge', '5'], /Did not expect "5"/],
    [['window-edge', '--no'], /Unknown option '--no'.*--yes/s],
  ])('refuses %j', async (words, message) => {
    const { code, stdout, stderr } = await run(words);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n +at /);
  });

  test('says how to get a redis-server before it asks anything', async () => {
    const { code, stdout, stderr } = await run(['lost-expiry'], '', { PATH: temporary, Path: temporary });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/redis-server is not on PATH.*apt install redis-server.*brew install redis/s);
  });

  test('ends with a cure when no prediction comes', async () => {
    const { code, stdout, stderr } = await run(['hidden-retry'], 'many\n');
    expect(code).toBe(1);
    expect(stdout).toContain('"many" is not a whole number. Your prediction: ');
    expect(stdout).not.toContain('Starting');
    expect(stderr).toContain('Add --yes');
  });

  test('holds the prediction against the outcome', async () => {
    const { code, stdout } = await run(['hidden-retry'], 'eleven\n3\n');
    expect(code, stdout).toBe(0);
    expect(stdout).toContain('The answer: 11\n  Your prediction was 3: wrong.');
  });
});

describe('Ctrl-C', () => {
  const stoppable = redisAvailable ? 'lost-expiry' : 'slow-service';

  test.skipIf(process.platform === 'win32')('in the middle of a drill ends all that it started', async () => {
    const { child, folder, seen, ended } = start([stoppable, '--yes']);
    await until(() => / \d+ ms {2}/.test(seen.stdout), 'the timeline begins', mostMs);
    const descendants = process.platform === 'linux' ? childrenOf(child.pid) : [];
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    expect(seen.stderr).toContain('Everything that was started is closed.');
    expect(seen.stdout).not.toContain('Outcome');
    expect(readdirSync(folder).filter((name) => name.startsWith('gateway-drill-'))).toEqual([]);
    if (process.platform === 'linux') expect(descendants.length).toBeGreaterThan(0);
    expect(descendants.filter(isAlive)).toEqual([]);
  });

  test.skipIf(process.platform === 'win32')('while the processes start ends them too', async () => {
    const { child, seen, ended } = start(['slow-service', '--yes']);
    await until(() => seen.stdout.includes('Starting'), 'the processes start', mostMs);
    if (process.platform === 'linux') await until(() => childrenOf(child.pid).length > 0, 'one is there');
    const descendants = process.platform === 'linux' ? childrenOf(child.pid) : [];
    child.kill('SIGTERM');
    expect(await ended).toBe(130);
    expect(seen.stderr).not.toMatch(/\n +at /);
    expect(descendants.filter(isAlive)).toEqual([]);
  });

  function childrenOf(pid: number | undefined): number[] {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  }

  function isAlive(pid: number): boolean {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  }
});

describe('a prediction', () => {
  const choices = { a: 'one', b: 'two' };
  const ask = async (drill: Pick<Drill, 'choices'>, text: string) => {
    const input = new PassThrough();
    input.end(text);
    let written = '';
    const answer = await askPrediction(drill, input, (more) => {
      written += more;
    });
    return { answer, written };
  };

  test('is a letter of the choices, in either case', async () => {
    expect(await ask({ choices }, ' B \n')).toMatchObject({
      answer: 'b',
      written: 'Your prediction (a, b): ',
    });
  });

  test('is asked for until it is one', async () => {
    const { answer, written } = await ask({ choices }, 'c\n\na\nb\n');
    expect(answer).toBe('a');
    expect(written).toContain('"c" is not one of a, b. Your prediction: "" is not one of a, b.');
  });

  test('is a whole number where there are no choices', async () => {
    expect(await ask({}, '1.5\n-1\n42')).toMatchObject({ answer: '42' });
  });
});

describe('the report', () => {
  const drill: Drill = {
    name: 'sample',
    phase: 1,
    about: 'A sample',
    setUp: ['One.', 'Two.', 'Three.'],
    question: 'Which?',
    choices: { a: 'the first', b: 'the second' },
    expected: 'a',
    run: async () => ({ answer: 'a', measured: [] }),
    explain: 'Because.',
    code: [],
    next: ['npm run drill'],
  };

  test('shows set-up, question and choices', () => {
    expect(describeDrill(drill)).toBe(
      'sample: A sample\nPhase 1-routing\n\nOne.\nTwo.\nThree.\n\nWhich?\n  a) the first\n  b) the second\n',
    );
  });

  test.each([
    ['a', 'a', 'The answer: a) the first\n  Your prediction was a: right.'],
    ['a', 'b', 'The answer: a) the first\n  Your prediction was b: wrong.'],
    ['a', undefined, 'The answer: a) the first\n\nWhy'],
    ['b', 'b', 'This run shows b) the second.\n  A run that nothing disturbs shows a) the first.'],
    [undefined, 'a', 'This run shows none of the answers.'],
  ])('of the answer %s to the prediction %s', (answer, prediction, text) => {
    expect(tellOutcome(drill, { answer, measured: ['Measured.'] }, prediction)).toContain(
      `Measured.\n  ${text}`,
    );
  });
});
