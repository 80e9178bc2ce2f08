import { randomInt } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { WindowCount, Windows } from './rate-limit.ts';
import { openConnection, PROBE, serverOf } from './redis.ts';
import { addressOf, urlOfNode } from './redis-url.ts';
import { followRedirections, type Group, groupsOf, probeIn, Shard, SLOTS, slotOf } from './shard.ts';
import { StartError } from './start-error.ts';

// How many nodes are asked for the map: one may hang, and one that is cut off from the others has an old map.
const ASKED_AT_ONCE = 2;

/** The counters in a Redis Cluster. Each shard has a connection, outages, and a way back of its own. */
export class Cluster implements Windows {
  /** Settles after the first attempt to connect. Rejects with a StartError if no attempt can succeed. */
  readonly started: Promise<unknown>;
  readonly #seeds: string[];
  readonly #keyPrefix: string;
  readonly #log: Logger;
  readonly #shards = new Set<Shard>();
  /** The shard of each slot. MOVED corrects one slot, the map of a node all of them. */
  readonly #owners: Shard[];
  #reading: Promise<void> | null = null;
  #logged = '';

  /** `seeds`: the URLs of some nodes. The user and the password of the first are used for all nodes. */
  constructor(seeds: string[], keyPrefix: string, log: Logger) {
    this.#seeds = seeds;
    this.#keyPrefix = keyPrefix;
    this.#log = log;
    // Until a node has shown its map, one shard without an address stands for all.
    this.#owners = new Array<Shard>(SLOTS).fill(this.#addShard());
    this.started = this.#readMap().then(
      () => Promise.allSettled([...this.#shards].map(({ connection }) => connection)),
      ({ message }: Error) => {
        if (!message.includes('cluster support disabled')) return;
        throw new StartError('REDIS_URL is a list, but its servers are not nodes of a Redis Cluster.');
      },
    );
  }

  count(bucket: string, windowMs: number): Promise<WindowCount | null> {
    return (this.#owners[slotOf(bucket)] as Shard).windows.count(bucket, windowMs);
  }

  /** Asks each shard now whether it can count. */
  states(): Promise<Array<{ shard: string; up: boolean }>> {
    const ask = async ({ label, windows }: Shard) => ({ shard: label, up: await windows.answers() });
    return Promise.all([...this.#shards].map(ask));
  }

  #addShard(): Shard {
    const labels = new Set([...this.#shards].map(({ label }) => label));
    let number = 1;
    while (labels.has(String(number))) number++;
    const shard = new Shard(String(number), (opening) => this.#open(opening), this.#log);
    this.#shards.add(shard);
    return shard;
  }

  async #open(shard: Shard): Promise<Redis> {
    if (!shard.ahead) await this.#readMap();
    if (!this.#shards.has(shard)) return new Promise(() => {}); // it has left the cluster
    const connection = shard.ahead ?? this.#connect(shard);
    shard.ahead = null;
    return connection;
  }

  #connect(shard: Shard): Promise<Redis> {
    const check = (redis: Redis) => redis.fixedWindow(shard.probe, PROBE.windowMs);
    shard.connection = this.#openNode(shard.primary, check).then((redis) =>
      followRedirections(redis, shard, (address, movedSlot) => this.#nodeAt(address, movedSlot)),
    );
    shard.connection.catch(() => {}); // #open passes the error on
    return shard.connection;
  }

  #openNode(address: string, check: (redis: Redis) => Promise<unknown>): Promise<Redis> {
    const [url, server] = serverOf(urlOfNode(this.#seeds[0] as string, address));
    return openConnection(url, { ...server, keyPrefix: this.#keyPrefix }, check);
  }

  async #nodeAt(address: string, movedSlot: number | null): Promise<Redis> {
    const find = () => [...this.#shards].find(({ primary }) => primary === address);
    if (!find()) await this.#readMap(address);
    const shard = find();
    if (!shard?.connection) throw new Error(`no primary is at ${address}`);
    if (movedSlot !== null) this.#owners[movedSlot] = shard;
    return shard.connection;
  }

  /** Reads the map of the node at `address`, or of any node. One map is read at a time. */
  #readMap(address?: string): Promise<void> {
    const nodes = address === undefined ? this.#someNodes() : [address];
    this.#reading ??= Promise.any(nodes.map((node) => this.#askForMap(node)))
      .then((groups) => this.#use(groups))
      .catch((error: AggregateError) => Promise.reject(error.errors?.[0] ?? error))
      .finally(() => {
        this.#reading = null;
      });
    return this.#reading;
  }

  #someNodes(): string[] {
    const known = [...this.#shards].flatMap(({ addresses }) => addresses);
    const nodes = [...new Set([...known, ...this.#seeds.map(addressOf)])];
    const count = Math.min(ASKED_AT_ONCE, nodes.length);
    return Array.from({ length: count }, () => String(nodes.splice(randomInt(nodes.length), 1)));
  }

  async #askForMap(node: string): Promise<Group[]> {
    let map: unknown;
    const redis = await this.#openNode(node, async (opened) => {
      map = await opened.cluster('SLOTS');
    });
    redis.disconnect();
    return groupsOf(map, node);
  }

  #use(groups: Group[]): void {
    const left = new Set(this.#shards);
    for (const group of groups) {
      const isSame = ({ ids }: Shard) => ids.length === 0 || ids.some((id) => group.ids.includes(id));
      const shard = [...left].find(isSame) ?? this.#addShard();
      left.delete(shard);
      for (const [first, last] of group.ranges) this.#owners.fill(shard, first, last + 1);
      const before = shard.primary;
      Object.assign(shard, { ids: group.ids, addresses: group.addresses, probe: probeIn(group) });
      if (shard.primary === before) continue;
      // Counts on the old connection are redirected to the new one, until it is retired.
      shard.retire();
      shard.ahead = this.#connect(shard);
    }
    for (const shard of left) {
      this.#shards.delete(shard);
      shard.retire();
    }
    // A slot that no shard holds is asked for at any shard, which says so.
    const [any] = this.#shards;
    for (const [slot, shard] of this.#owners.entries()) if (any && left.has(shard)) this.#owners[slot] = any;
    const shards = Object.fromEntries([...this.#shards].map(({ label, primary }) => [label, primary]));
    if (this.#logged === JSON.stringify(shards)) return;
    this.#logged = JSON.stringify(shards);
    this.#log.info({ shards }, 'redis shards');
  }
}
