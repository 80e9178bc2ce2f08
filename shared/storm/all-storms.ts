import { aborts } from './aborts.ts';
import { cluster } from './cluster.ts';
import type { Storm } from './definition.ts';
import { descriptors } from './descriptors.ts';
import { idle } from './idle.ts';
import { kept } from './kept.ts';
import { redis } from './redis.ts';
import { restarts } from './restarts.ts';
import { slow } from './slow.ts';

/** Every storm, in the order of the document. */
export const storms: Storm[] = [idle, slow, descriptors, aborts, redis, cluster, restarts, kept];
