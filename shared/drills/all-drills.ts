import { clientAbort } from './client-abort.ts';
import { cooldownHerd } from './cooldown-herd.ts';
import { hiddenRetry } from './hidden-retry.ts';
import { keySentTwice } from './key-sent-twice.ts';
import { labelPerPath } from './label-per-path.ts';
import { layeredDefences } from './layered-defences.ts';
import { lostExpiry } from './lost-expiry.ts';
import { missingId } from './missing-id.ts';
import { redisDown } from './redis-down.ts';
import { redisHung } from './redis-hung.ts';
import type { Drill } from './runner/definition.ts';
import { shardDown } from './shard-down.ts';
import { slippedPath } from './slipped-path.ts';
import { slowService } from './slow-service.ts';
import { spoofedAddress } from './spoofed-address.ts';
import { twoGateways } from './two-gateways.ts';
import { windowEdge } from './window-edge.ts';

/** Every drill, by phase, in the recommended order. */
export const drills: readonly Drill[] = [
  hiddenRetry,
  clientAbort,
  keySentTwice,
  slippedPath,
  windowEdge,
  twoGateways,
  lostExpiry,
  redisDown,
  redisHung,
  spoofedAddress,
  slowService,
  cooldownHerd,
  layeredDefences,
  labelPerPath,
  missingId,
  shardDown,
];
