import { afterAll } from 'vitest';
import { endEveryRedis, isRedisOnPath } from '../../process/redis-process.ts';

export {
  type ClusterNode,
  type RedisCluster,
  startCluster,
  startClusterNode,
} from '../../process/redis-cluster.ts';
export { type RedisServer, startRedis } from '../../process/redis-process.ts';
export { startWatchedRedis, type WatchedRedis } from '../../process/redis-sentinel.ts';

/** True when a redis-server binary is on PATH; with CI=true its absence is an error. */
export const redisAvailable = findRedis();

afterAll(endEveryRedis);

function findRedis(): boolean {
  const found = isRedisOnPath();
  if (!found && process.env.CI === 'true') {
    throw new Error('redis-server is not on PATH. Install it (Debian: apt-get install redis-server).');
  }
  return found;
}
