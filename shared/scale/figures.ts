import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../repository/phases.ts';

/** What `npm run scale -- --measure` measures of Redis. */
export interface RedisFigures {
  date: string;
  machine: Record<string, string>;
  /** CPU time of a primary without a replica for one count in one of many buckets. */
  countUs: number;
  /** As `countUs`, while one replica is attached. */
  replicatedCountUs: number;
  /** CPU time of a replica for one count. */
  replicaUs: number;
  /** CPU time of a primary for one count in one and the same bucket. */
  hotCountUs: number;
  /** Memory of a bucket of a client, and of an address, with its expiry. */
  clientBytes: number;
  addressBytes: number;
  /** Bytes of the replication stream for one count in a window that is open. */
  streamBytes: number;
}

/** Where `--measure` writes the figures. */
export const figuresFile = join(root, 'shared', 'scale', 'figures.json');

/** The measured figures. Throws if `--measure` has not written them. */
export function readFigures(): RedisFigures {
  return JSON.parse(readFileSync(figuresFile, 'utf8'));
}

/** CPU microseconds of the gateway per request, from the text of docs/costs.md. Throws if the page has no such line. */
export function readGatewayUs(page: string, phase: number): number {
  const found = new RegExp(`^\\*\\*Phase ${phase}\\*\\*: (\\d+) µs per request`, 'm').exec(page);
  if (!found) throw new Error(`docs/costs.md has no cost of phase ${phase}.`);
  return Number(found[1]);
}
