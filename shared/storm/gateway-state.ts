import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { parseSamples } from '../metrics/prometheus-text.ts';
import { isHealthy } from '../process/ask.ts';
import { memoryBytes } from '../process/cpu.ts';
import { until } from '../process/until.ts';
import { memoryFile, type StormGateway, type StormSubject } from './gateway.ts';

const calmMs = 30;

/** Memory in use after a garbage collection for a phase; resident memory for other gateways. */
export async function usedBytes({ isPhase }: StormSubject, { pid, port }: StormGateway): Promise<number> {
  if (!isPhase) return memoryBytes(pid).now;
  const file = memoryFile(port);
  rmSync(file, { force: true });
  process.kill(pid, 'SIGUSR2');
  const read = () => {
    try {
      return Number(readFileSync(file, 'utf8'));
    } catch {
      return 0;
    }
  };
  await until(() => read() > 0, 'the gateway has collected its garbage', 30_000);
  return read();
}

/** Waits until a health check is answered quickly: after many clients have left, the gateway closes their connections first. */
export async function untilCalm(gateway: StormGateway): Promise<void> {
  const isQuick = async () => {
    const begun = performance.now();
    return (await isHealthy(gateway.port)) && performance.now() - begun < calmMs;
  };
  await until(isQuick, 'a health check is answered quickly', 15_000).catch(() => {}); // a slow machine is no failure
}

/** The number of open descriptors of a process. Linux only. */
export function countDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** The number of series that the gateway shows in /metrics, from phase 5 on. */
export async function countSeries({ adminPort }: StormGateway): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  return parseSamples(text).length;
}
