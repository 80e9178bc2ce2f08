import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
// @ts-expect-error The package comes with ioredis and has no types.
import calculateSlot from 'cluster-key-slot';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { FixedWindows } from './fixed-window.ts';
import { PROBE } from './redis.ts';
import { fullAddress } from './redis-url.ts';

// How long a count may be redirected. It ends before FixedWindows takes the node that redirected it for silent (500 ms).
const REDIRECT_BUDGET_MS = 300;
const MOST_REDIRECTIONS = 5;

// FixedWindows takes the end of a connection younger than 500 ms for an outage.
const RETIRE_MS = 1000;

const REDIRECTION = /^(MOVED|ASK) (\d+) (\S+)$/;
const UNSERVED = 'CLUSTERDOWN Hash slot not served';
const LUA = readFileSync(join(import.meta.dirname, 'fixed-window.lua'), 'utf8');

/** A primary of the cluster with its replicas. */
export class Shard {
  /** Its number in the log and in the metrics. It keeps the number when a replica takes over. */
  readonly label: string;
  readonly windows: FixedWindows;
  /** The ids of its nodes. */
  ids: string[] = [];
  /** The addresses of its nodes, the primary first. */
  addresses: string[] = [];
  /** A bucket in one of its slots. */
  probe = PROBE.bucket;
  /** The newest connection to the primary. */
  connection: Promise<Redis> | null = null;
  /** The same, until `windows` takes it. */
  ahead: Promise<Redis> | null = null;

  /** `open` is called at the start, when the connection has ended, and as long as the shard is lost. */
  constructor(label: string, open: (shard: Shard) => Promise<Redis>, log: Logger) {
    this.label = label;
    this.windows = new FixedWindows(() => open(this), log.child({ shard: label }));
  }

  /** `host:port` of the primary. */
  get primary(): string {
    return this.addresses[0] ?? '';
  }

  /** Ends the connection when its last replies have arrived. `windows` then opens another one. */
  async retire(): Promise<void> {
    const redis = await this.connection?.catch(() => null);
    await delay(RETIRE_MS, undefined, { ref: false });
    redis?.emit('end'); // no command is sent from now on
    await delay(RETIRE_MS, undefined, { ref: false });
    redis?.disconnect();
  }
}

/** Returns the connection to the node at this address. `movedSlot`: the slot that it holds from now on, or null. */
type FindNode = (address: string, movedSlot: number | null) => Promise<Redis>;

/**
 * Makes counts on a connection of the shard follow MOVED and ASK: a node that redirects a command has not run it. The
 * bucket of PROBE becomes one of the shard. An error that costs this count only, and is no outage, is not a ReplyError.
 */
export function followRedirections(redis: Redis, shard: Shard, findNode: FindNode): Redis {
  const count = redis.fixedWindow.bind(redis);
  redis.fixedWindow = (bucket, windowMs, done) => {
    const ownBucket = bucket === PROBE.bucket ? shard.probe : bucket;
    return count(ownBucket, windowMs, (error, reply) => {
      if (error?.message.startsWith(UNSERVED)) return done?.(new Error(error.message));
      if (!error || !REDIRECTION.test(error.message)) return done?.(error, reply);
      const late = delay(REDIRECT_BUDGET_MS, undefined, { ref: false }).then(() => Promise.reject(error));
      const followed = follow(error, shard.primary, findNode, ownBucket, windowMs);
      Promise.race([followed, late]).then(
        (counted) => done?.(null, counted),
        ({ message }) => done?.(new Error(message)),
      );
    });
  };
  return redis;
}

async function follow(
  error: Error,
  asked: string,
  findNode: FindNode,
  bucket: string,
  windowMs: number,
): Promise<unknown> {
  let [cause, address] = [error, asked];
  for (let n = 0; n < MOST_REDIRECTIONS; n++) {
    const [, kind, slot, to = ''] = REDIRECTION.exec(cause.message) ?? [];
    if (kind === undefined) break;
    address = fullAddress(to, address);
    const redis = await findNode(address, kind === 'MOVED' ? Number(slot) : null);
    // After ASKING a node takes a slot that is being moved to it. EVAL, because it may not know the script yet.
    redis.asking().catch(() => {});
    const reply = await redis.eval(LUA, 1, bucket, windowMs).catch((refusal: Error) => refusal);
    if (!(reply instanceof Error)) return reply;
    cause = reply;
  }
  throw cause;
}

/** The slots of a cluster have the numbers 0 to 16383. Each key belongs to one of them. */
export const SLOTS = 16_384;

/** A primary, its replicas, and the slots that they hold. */
export interface Group {
  /** The ids of the primary and of its replicas. They stay the same when one of them takes over. */
  readonly ids: string[];
  /** The addresses of the same nodes, `host:port`, the primary first. */
  readonly addresses: string[];
  /** First and last slot of each range. */
  readonly ranges: Array<readonly [first: number, last: number]>;
}

type Node = [host: string | null, port: number, id: string];
type Range = [first: number, last: number, ...nodes: Node[]];

/** Reads the answer of the node `asked` to CLUSTER SLOTS. */
export function groupsOf(reply: unknown, asked: string): Group[] {
  const groups = new Map<string, Group>();
  for (const [first, last, ...nodes] of reply as Range[]) {
    const ids = nodes.map(([, , id]) => id);
    const addresses = nodes.map(([host, port]) => fullAddress(`${host ?? ''}:${port}`, asked));
    const group = groups.get(String(ids[0])) ?? { ids, addresses, ranges: [] };
    groups.set(String(ids[0]), group);
    group.ranges.push([first, last]);
  }
  if (groups.size === 0) throw new Error(`${asked} knows of no slots in its cluster`);
  return [...groups.values()];
}

/** The slot of a bucket. The keyPrefix stands before the braces, so it does not change the slot. */
export function slotOf(bucket: string): number {
  return calculateSlot(bucket);
}

/** A bucket in one of the slots. Counts in it show whether the group can count. */
export function probeIn({ ranges }: Group): string {
  // Another one each time, because a slot that is being moved away takes no new key.
  for (let n = Math.floor(Math.random() * SLOTS); ; n++) {
    const bucket = `{probe:${n}}`;
    const slot = slotOf(bucket);
    if (ranges.some(([first, last]) => first <= slot && slot <= last)) return bucket;
  }
}
