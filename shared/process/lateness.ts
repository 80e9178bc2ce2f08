import { monitorEventLoopDelay } from 'node:perf_hooks';

/** How late the timers of this process were, in ms. On a machine with enough free CPU time it is a few ms. */
export interface Lateness {
  p99Ms: number;
  maxMs: number;
}

const resolutionMs = 5;

/** Begins to measure. The returned function ends the measurement and returns the result. */
export function watchLateness(): () => Lateness {
  const delays = monitorEventLoopDelay({ resolution: resolutionMs });
  delays.enable();
  // The histogram has the time between two timers in ns, so the interval itself is part of each value.
  const late = (ns: number) => Math.max(0, ns / 1e6 - resolutionMs);
  return () => {
    delays.disable();
    return { p99Ms: late(delays.percentile(99)), maxMs: late(delays.max) };
  };
}

/** The worst of several measurements. */
export function worstLateness(all: Lateness[]): Lateness {
  return {
    p99Ms: Math.max(...all.map(({ p99Ms }) => p99Ms)),
    maxMs: Math.max(...all.map(({ maxMs }) => maxMs)),
  };
}
