import { setTimeout as sleep } from 'node:timers/promises';

/** Polls until the condition is true. Throws an error that names `what` when that takes longer than `timeoutMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 5_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await sleep(5);
  }
}

/** Waits until the number has not changed for a second, and returns it. */
export async function settled(read: () => number): Promise<number> {
  let last = read();
  for (let checks = 0; checks < 10; checks++) {
    await sleep(100);
    if (read() === last) continue;
    last = read();
    checks = 0;
  }
  return last;
}
