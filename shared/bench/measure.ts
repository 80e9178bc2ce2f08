import { get } from 'node:http';
import { type BenchProcess, untilReady } from '../process/bench-process.ts';
import { cpuMicroseconds, memoryBytes } from '../process/cpu.ts';
import type { Answers } from '../process/load-answers.ts';
import { type BenchLoad, sendLoad } from './load.ts';
import type { BenchSubject } from './subjects.ts';
import type { BenchSurroundings } from './surroundings.ts';

/** One slice of one subject. */
export interface Slice extends Answers {
  /** CPU time per answered request, of the gateway and of Redis. */
  cpuUs: number;
  redisCpuUs: number;
  sentBytes: number;
  residentBytes: number;
}

/** All slices of one subject, in order: slice N of every subject belongs to the same round. */
export interface Measured {
  name: string;
  slices: Slice[];
  /** From the start of the process to its first answer. */
  startMs: number;
  /** Memory before the first load, and at its peak. */
  idleBytes: number;
  peakBytes: number;
}

/** How long and how often to measure. */
export interface Plan {
  rounds: number;
  /** How often all subjects are started. The rounds are divided among these generations. */
  generations: number;
  warmUpSeconds: number;
  load: BenchLoad;
}

interface Target {
  subject: BenchSubject;
  load: BenchLoad;
  running: BenchProcess[];
  urls: string[];
  startMs: number;
  idleBytes: number;
}

/**
 * Measures the subjects in generations of processes, because V8 optimises the same code differently from process
 * to process. A subject that fails in one generation is left out of all.
 */
export async function measure(
  subjects: BenchSubject[],
  plan: Plan,
  around: BenchSurroundings,
  say: (what: string) => void,
  leftOut: (name: string, why: string) => void,
): Promise<Measured[]> {
  const { generations } = plan;
  const rounds = Math.ceil(plan.rounds / generations);
  let all: Measured[] | undefined;
  for (let generation = 1; generation <= generations; generation += 1) {
    const sayWhich = (what: string) => say(generations > 1 ? `${what}, process ${generation}` : what);
    const next = await measureGeneration(subjects, { ...plan, rounds }, around, sayWhich, leftOut);
    all = (all ?? next.map((measured) => ({ ...measured, slices: [] }))).flatMap((before) => {
      const now = next.find(({ name }) => name === before.name);
      if (!now) return [];
      const peakBytes = Math.max(before.peakBytes, now.peakBytes);
      return [{ ...before, slices: [...before.slices, ...now.slices], peakBytes }];
    });
  }
  return all ?? [];
}

/**
 * Measures the subjects in turn, one slice each, round after round: A B C A B C. A slowdown of the machine that lasts
 * some seconds then affects all subjects, and the ratios within a round stay valid. `leftOut` is called for each subject
 * that does not start or stops answering.
 */
async function measureGeneration(
  subjects: BenchSubject[],
  plan: Plan,
  around: BenchSurroundings,
  say: (what: string) => void,
  leftOut: (name: string, why: string) => void,
): Promise<Measured[]> {
  const targets: Target[] = [];
  try {
    for (const subject of subjects) {
      say(`starting ${subject.name}`);
      const running: BenchProcess[] = [];
      try {
        targets.push(await ready(subject, plan.load, around, running));
      } catch (error) {
        await stopAll(running);
        leftOut(subject.name, (error as Error).message);
      }
    }
    for (const { subject, urls, load } of targets) {
      say(`warming up ${subject.name}`);
      await sendLoad(urls, { ...load, seconds: plan.warmUpSeconds });
    }
    const slices = new Map<Target, Slice[]>(targets.map((target) => [target, []]));
    for (let round = 1; round <= plan.rounds; round += 1) {
      for (const [target, taken] of slices) {
        say(`round ${round} of ${plan.rounds}, ${target.subject.name}`);
        try {
          // One retry: on a busy machine, a slice of one second can pass without a response.
          taken.push(await slice(target, around).catch(() => slice(target, around)));
        } catch (error) {
          slices.delete(target);
          leftOut(target.subject.name, `round ${round}: ${(error as Error).message}`);
        }
      }
    }
    return [...slices].map(([target, taken]) => ({
      name: target.subject.name,
      slices: taken,
      startMs: target.startMs,
      idleBytes: target.idleBytes,
      peakBytes: memory(target.running, 'peak'),
    }));
  } finally {
    await stopAll(targets.flatMap(({ running }) => running));
  }
}

async function ready(
  subject: BenchSubject,
  common: BenchLoad,
  around: BenchSurroundings,
  started: BenchProcess[],
): Promise<Target> {
  const begun = performance.now();
  const { running, urls } = await subject.launch(around);
  started.push(...running);
  const load = { ...common, ...subject.load, headers: { ...common.headers, ...subject.load?.headers } };
  // Without a gateway, the load goes to the services, whose paths have no route prefix.
  if (running.length === 0) {
    const [fast = '', node = ''] = urls.splice(0);
    urls.push(load.path.startsWith('/node/') ? node : fast);
    load.path = load.path.slice('/fast'.length);
  }
  const { status = load.method === 'POST' ? 204 : 200 } = subject;
  for (const [i, url] of urls.entries()) {
    // Some refusals begin only after a few requests: failures must open the circuit, or requests must use up the limit.
    const answers = async () => (await statusOf(url + load.path, load)) === status;
    const own = running[i];
    if (own) await untilReady(own, answers);
    else if (!(await answers())) throw new Error(`${url}${load.path} does not answer ${status}`);
  }
  return {
    subject,
    load,
    running,
    urls,
    startMs: performance.now() - begun,
    idleBytes: memory(running, 'now'),
  };
}

function statusOf(url: string, { headers, method }: BenchLoad): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get(url, { headers, method, agent: false, timeout: 5_000 }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', reject);
  });
}

async function slice({ subject, running, urls, load }: Target, { redis }: BenchSurroundings): Promise<Slice> {
  const cpu = () => running.reduce((sum, { pid }) => sum + cpuMicroseconds(pid), 0);
  const redisCpu = () => (redis && subject.usesRedis ? cpuMicroseconds(redis.pid) : 0);
  const [cpuBefore, redisBefore] = [cpu(), redisCpu()];
  const answers = await sendLoad(urls, load);
  const [cpuUsed, redisUsed] = [cpu() - cpuBefore, redisCpu() - redisBefore];
  if (answers.requests === 0) throw new Error(`${subject.name} sent no response in ${load.seconds} s`);
  // A status other than 2xx is an error, unless the refusals of the subject are measured.
  if (!subject.status) answers.errors += answers.non2xx;
  return {
    ...answers,
    cpuUs: cpuUsed / answers.requests,
    redisCpuUs: redisUsed / answers.requests,
    sentBytes: answers.requests * load.bodyBytes,
    residentBytes: memory(running, 'now'),
  };
}

function memory(running: BenchProcess[], which: 'now' | 'peak'): number {
  return running.reduce((sum, { pid }) => sum + memoryBytes(pid)[which], 0);
}

async function stopAll(running: BenchProcess[]): Promise<void> {
  await Promise.all(running.map((one) => one.stop()));
}
