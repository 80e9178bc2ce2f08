import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Gateway } from './gateway.ts';

/** A clock that runs faster in one process, so that a test need not wait a minute. It needs a gateway that runs in Node. */
export interface FastClock {
  /** The environment variables for startGateway(). */
  readonly env: Record<string, string>;
  /** True when the gateway has this clock. */
  runsIn(gateway: Gateway): boolean;
}

const folder = mkdtempSync(join(tmpdir(), 'gateway-contract-clock-'));
let clocks = 0;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Makes a clock for which a second is `factor` seconds: in Date.now(), performance.now() and timers. */
export function makeFastClock(factor: number): FastClock {
  const file = join(folder, String(++clocks));
  const preload = `
    import { writeFileSync } from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    import timers from 'node:timers';
    import { isMainThread } from 'node:worker_threads';
    if (isMainThread) writeFileSync(${JSON.stringify(file)}, String(process.pid));
    for (const clock of [Date, performance]) {
      const now = clock.now.bind(clock);
      const start = now();
      clock.now = () => start + (now() - start) * ${factor};
    }
    for (const name of ['setTimeout', 'setInterval']) {
      const original = timers[name];
      const fast = (callback, ms, ...rest) => original(callback, ms / ${factor}, ...rest);
      Object.defineProperties(fast, Object.getOwnPropertyDescriptors(original));
      globalThis[name] = timers[name] = fast;
    }
    syncBuiltinESMExports();`;
  return {
    env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` },
    runsIn: ({ pid }) => existsSync(file) && readFileSync(file, 'utf8') === String(pid),
  };
}
