import type { HintGroup } from './hint-group.ts';

const contract = 'docs/contract.md#phase-7-redis-cluster';
const chapter = 'phases/7-redis-cluster/README.md';

/** Hints for suite 7. */
export const redisClusterHints: HintGroup[] = [
  {
    tests: ['a REDIS_URL that is wrong > is refused with what is allowed'],
    whenItDoesNotStart: true,
    contract: 'Any other form is refused at the start, with the form that is allowed.',
    read: 'docs/config.md#a-redis-cluster',
    hints: [
      'Which forms does REDIS_URL have, and which part of each can be wrong?',
      'Split at the commas first, and check each URL as before. All nodes of a list share scheme, user and password. A URL that decodeURIComponent() refuses is wrong, too.',
    ],
    code: { file: 'redis-url.ts', from: 'function faultIn(' },
  },
  {
    tests: ['a REDIS_URL that is wrong > is refused when a list leads to servers that are no cluster'],
    contract: 'When the servers of a list are not nodes of a cluster, the gateway does not start.',
    read: contract,
    hints: [
      'What does a Redis without a cluster answer to CLUSTER SLOTS?',
      'Ask for the map before the gateway listens. "cluster support disabled" ends the start with a message; every other error is an outage that may heal.',
    ],
    code: { file: 'cluster.ts', from: 'this.started =' },
  },
  {
    tests: ['a Redis > '],
    contract: 'Users and passwords are percent-encoded, so they may have any character.',
    read: 'docs/config.md#a-redis-cluster',
    hints: [
      'Where does the user of a URL end, and what happens to a password with an @ or a slash in it?',
      'Decode user and password after the URL has been taken apart, not before. ioredis takes `path` for a socket, and an IPv6 address without its brackets.',
    ],
    code: { file: 'redis-url.ts', from: 'export function serverBehind(' },
  },
  {
    tests: ['a cluster > counts for a user', 'a cluster > counts over TLS'],
    contract: 'All nodes of a list have the same scheme, user and password, and no database.',
    read: 'docs/config.md#a-redis-cluster',
    hints: [
      'The nodes of the map have addresses only. With what do you log in to them?',
      'Take scheme, user and password from the first URL of the list for every node. Use CLUSTER SLOTS and no INFO: the user may not be allowed to run it.',
    ],
    code: { file: 'redis-url.ts', from: 'export function urlOfNode(' },
  },
  {
    tests: [
      'gateways that count in one cluster > let exactly',
      'gateways that count in one cluster > send one',
    ],
    contract:
      'Each counter lies on one slot, by the text in its braces, and each slot on one shard: a primary with its replicas.',
    read: `${chapter}#what-it-does`,
    hints: [
      'Which part of a key decides where it lies, and who knows which node holds it?',
      'CLUSTER SLOTS is the map. CRC16 of the text in the braces, modulo 16384, is the slot. Keep one connection for each primary, and send each count to the one that holds its slot.',
    ],
    code: { file: 'cluster.ts', from: 'count(bucket' },
  },
  {
    tests: [
      'gateways that count in one cluster > count at the new node',
      'gateways that count in one cluster > follow ASK',
      'gateways whose cluster is resharded > ',
    ],
    contract:
      'A node that answers `MOVED` or `ASK` has not counted the request. The gateway counts it at the node that is named, within the 200 ms of the request, and asks that node from then on if it was `MOVED`.',
    read: `${chapter}#what-it-does`,
    hints: [
      'The answer is an error, but no node has failed. What does it say about this count, and about the next one?',
      'MOVED: count at the named node, and correct the map for this slot. ASK: send ASKING and the count to the named node, once, and leave the map as it is. Use EVAL there, because the node may not know the script.',
    ],
    code: { file: 'shard.ts', from: 'async function follow(' },
  },
  {
    tests: ['a shard > '],
    contract:
      'Failure is per shard. A shard that is killed, hangs, is full or refuses the user costs the counters on it: `whenRedisFails` decides about their requests. All other counters go on exactly.',
    read: `${chapter}#what-it-does`,
    hints: [
      'What did phase 3 keep for its one Redis that a cluster needs once for each shard?',
      'A connection, a state, a time budget and a way back of its own for each shard. The class of phase 3 has all of them: make one object of it for each shard.',
    ],
    code: { file: 'shard.ts', from: 'export class Shard' },
  },
  {
    tests: ['a cluster > that is gone', 'a cluster > that forgets', 'a cluster > with a slot'],
    contract: 'A cluster that is gone at the start is found later.',
    read: contract,
    hints: [
      'When no node has shown its map yet, which shard does a counter belong to?',
      'Begin with one shard without an address that stands for all slots. Its way back asks for the map, and the map makes the other shards.',
    ],
    code: { file: 'cluster.ts', from: '#use(groups' },
  },
  {
    tests: ['a replica that takes over > '],
    contract:
      'It counts again within 2 s after a replica has taken over, with what the old primary had sent to it. A planned change of the primary (`CLUSTER FAILOVER`) costs no count.',
    read: `${chapter}#what-it-does`,
    hints: [
      'Who tells the gateway that a replica has taken over, when the old primary is dead, and when it still answers?',
      'A dead primary: at each attempt to connect, ask other nodes for the map first. One that answers MOVED: connect to the new primary, follow the redirections to it meanwhile, and close the old connection when its last replies have arrived.',
    ],
    code: { file: 'cluster.ts', from: 'async #open(' },
  },
  {
    tests: ['gateways that ask Sentinels > '],
    contract:
      'The gateway asks the Sentinels at each attempt to connect. It counts again within 2 s after they have chosen another primary.',
    read: 'docs/config.md#a-redis-cluster',
    hints: [
      'How does a client find the primary, and what if the first Sentinel that it asks does not answer?',
      'ioredis takes `sentinels` and `name`. Bound the time for each Sentinel, let it fail instead of asking for ever, and open a new connection, and so ask again, at each attempt.',
    ],
    code: { file: 'redis-url.ts', from: 'const server: RedisOptions' },
  },
];
