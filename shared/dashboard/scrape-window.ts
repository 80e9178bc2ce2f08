import type { Sample } from '../metrics/prometheus-text.ts';
import type { Scrape } from './scrape.ts';

const startTime = 'process_start_time_seconds';

/** The latest scrapes of one gateway, back to `spanMs` before the last one. A restart of the gateway empties it. */
export class ScrapeWindow {
  readonly #spanMs: number;
  #scrapes: Scrape[] = [];

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  push(scrape: Scrape): void {
    const last = this.#scrapes.at(-1);
    // Counters begin at 0 with each process, so scrapes from before and after a restart cannot be compared.
    if (last && valueNamed(last, startTime) !== valueNamed(scrape, startTime)) this.#scrapes = [];
    this.#scrapes.push(scrape);
    // Keep the oldest scrape as long as the others do not cover the span.
    while (this.#scrapes.length > 2 && (this.#scrapes[1]?.atMs ?? 0) <= scrape.atMs - this.#spanMs) {
      this.#scrapes.shift();
    }
  }

  get oldest(): Scrape | undefined {
    return this.#scrapes[0];
  }

  get newest(): Scrape | undefined {
    return this.#scrapes.at(-1);
  }
}

/** The increase of each series between two scrapes of the same process. A new series began at 0. */
export function increases(older: Scrape, newer: Scrape): Sample[] {
  const before = new Map(older.samples.map((sample) => [keyOf(sample), sample.value]));
  return newer.samples.map((sample) => ({
    ...sample,
    value: Math.max(0, sample.value - (before.get(keyOf(sample)) ?? 0)),
  }));
}

/** The value of a metric without labels, or of its first series; undefined when it is missing or not finite. */
export function valueNamed({ samples }: Scrape, name: string): number | undefined {
  const value = samples.find((sample) => sample.name === name)?.value;
  return Number.isFinite(value) ? value : undefined;
}

function keyOf({ name, labels }: Sample): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([name, sorted]);
}
