import fc from 'fast-check';
import type { Field, Lane } from './field.ts';
import { type CasePlan, casePlans } from './plans.ts';
import { seedOf } from './seeds.ts';

const mostTries = 10;
const shrinkMs = 30_000;

/** What a run has sent, and the first case that failed. */
export interface Run {
  /** Byte sequences of clients: a case has 1 to 3. */
  sequences: number;
  requests: number;
  failed: { number: number; error: Error } | undefined;
}

/** Runs cases from number `first` on, on all lanes, until one fails or `isEnough`. */
export async function runCases(
  { gateway, lanes }: Field,
  { seed, first, isEnough }: { seed: number; first: number; isEnough: (sequences: number) => boolean },
): Promise<Run> {
  const run: Run = { sequences: 0, requests: 0, failed: undefined };
  let next = first;
  const runLane = async (lane: Lane) => {
    while (!run.failed && !isEnough(run.sequences)) {
      const number = next++;
      const plan = planOf(seed, number);
      run.sequences += plan.sequences.length;
      for (const { requests } of plan.sequences) run.requests += requests.length;
      await lane.run(plan, gateway).catch((error: Error) => {
        run.failed ??= { number, error };
      });
    }
  };
  await Promise.all(lanes.map(runLane));
  return run;
}

/** Repeats a case alone and looks for the smallest one that fails. Undefined when it does not fail alone. */
export async function shrinkCase(
  { gateway, lanes }: Field,
  seed: number,
  number: number,
): Promise<Error | undefined> {
  const [lane] = lanes as [Lane];
  let smallest: Error | undefined;
  // A smaller case that needs luck to fail is tried as often as this one needed.
  let tries = mostTries;
  const property = fc.asyncProperty(casePlans, async (plan) => {
    for (let tried = 1; tried <= tries; tried++) {
      lane.service.disconnect();
      await lane.run(plan, gateway).catch((error: Error) => {
        if (!smallest) tries = tried === 1 ? 1 : mostTries;
        smallest = error;
        throw error;
      });
    }
  });
  await fc.check(property, { seed: seedOf(seed, number), numRuns: 1, interruptAfterTimeLimit: shrinkMs });
  return smallest;
}

function planOf(seed: number, number: number): CasePlan {
  return fc.sample(casePlans, { seed: seedOf(seed, number), numRuns: 1 })[0] as CasePlan;
}
