// With a smaller share of one core, a test that waits for a moment may miss it.
const leastShare = 1 / 3;
const measuredMs = 300;

/**
 * The share of one core that this process gets while it computes, from 0 to 1. It takes 300 ms. Unlike the load average
 * it leaves out the work of the run that has just ended.
 */
export function measureShare(): number {
  const begin = performance.now();
  const before = process.cpuUsage();
  while (performance.now() - begin < measuredMs);
  const { user, system } = process.cpuUsage(before);
  return Math.min(1, (user + system) / 1_000 / (performance.now() - begin));
}

// The tests of the judge run many judges at a time, and tell them that there is enough for all.
const assumedShare = process.env.JUDGE_CORE_SHARE;

/** A sentence for a machine with too much other work for a verdict about times; '' for any other. */
export function tellOverload(share = assumedShare ? Number(assumedShare) : measureShare()): string {
  if (share >= leastShare) return '';
  return `The machine is overloaded: a program that needs one core gets ${Math.round(share * 100)} % of it. A right gateway may fail for that reason.`;
}
