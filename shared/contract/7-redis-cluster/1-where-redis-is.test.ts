// REDIS_URL names one Redis, some nodes of a cluster, Sentinels, or a socket. The password may have any character,
// because it is percent-encoded. A URL that is wrong is refused at the start, with the forms that are allowed.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { freePort } from '../../process/ports.ts';
import { trusted } from '../harness/certificates.ts';
import { until } from '../harness/client.ts';
import { startAndFail, startGateway } from '../harness/gateway.ts';
import { ask, isCounted, outageLines } from '../harness/limited.ts';
import { redisAvailable, startCluster, startRedis } from '../harness/redis.ts';
import { clusterConfig, expectExact, newAddress, startCounting } from './shards.ts';

const folder = mkdtempSync(join(tmpdir(), 'gateway-redis-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const password = 'p@s:s/w?o#r%d ,€';
const encoded = encodeURIComponent(password);

describe('a REDIS_URL that is wrong', () => {
  test.each([
    ['of another kind', 'memcached://127.0.0.1:1', /redis:\/\/HOST.*redis-sentinel:.*redis\+unix:/],
    ['without a host', 'redis://', /must end with the host/],
    ['with a query', 'redis://127.0.0.1:1?db=1', /must end with the host/],
    ['with two databases in a list', 'redis://127.0.0.1:1/1,redis://127.0.0.1:2/1', /cluster.*no database/],
    [
      'with two passwords in a list',
      'redis://:a@127.0.0.1:1,redis://:b@127.0.0.1:2',
      /one scheme, user and password/,
    ],
    [
      'with TLS for one node of a list',
      'rediss://127.0.0.1:1,redis://127.0.0.1:2',
      /one scheme, user and password/,
    ],
    ['with an empty place in a list', 'redis://127.0.0.1:1,', /redis:\/\/HOST/],
    ['with Sentinels and no name', 'redis-sentinel://127.0.0.1:1,127.0.0.1:2', /#NAME/],
    ['with a Sentinel without a port', 'redis-sentinel://127.0.0.1,127.0.0.1:2/0#main', /HOST:PORT/],
    ['with a socket without a path', 'redis+unix://', /redis\+unix:\/\/\/PATH/],
    ['with a % that encodes nothing', 'redis://:50%@127.0.0.1:1', /%25/],
    ['with a password that is not UTF-8', 'redis://:%ff@127.0.0.1:1', /UTF-8/],
    ['with a path that is not UTF-8', 'redis+unix:///run/%ff', /UTF-8/],
  ])('is refused with what is allowed: %s', async (_what, url, allowed) => {
    const { code, stderr, stdout } = await startAndFail(await clusterConfig(3), { env: { REDIS_URL: url } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^The environment is not usable:\n {2}REDIS_URL: .*\n$/);
    expect(stderr).toMatch(allowed);
    expect(stdout).not.toContain('listening');
  });

  test.skipIf(!redisAvailable)('is refused when a list leads to servers that are no cluster', async () => {
    const [one, two] = await Promise.all([startRedis(), startRedis()]);
    const env = { REDIS_URL: `${one.url},${two.url}` };
    const { code, stderr } = await startAndFail(await clusterConfig(3), { env });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^REDIS_URL .*not nodes of a Redis Cluster.*\n$/);
    await Promise.all([one.close(), two.close()]);
  });
});

describe.skipIf(!redisAvailable)('a Redis', () => {
  test('counts with a password of any characters', async () => {
    const redis = await startRedis();
    await redis.command('CONFIG', 'SET', 'requirepass', password);
    const gateway = await startCounting(`redis://:${encoded}@127.0.0.1:${redis.port}`, 2);
    await expectExact([gateway], [newAddress()], 2);
    await gateway.stop();
    expect(gateway.stdout() + gateway.stderr()).not.toContain(encoded);
    await redis.close();
  });

  test('counts over a socket', async () => {
    const socket = join(folder, 'redis socket');
    const redis = await startRedis('--unixsocket', socket);
    const gateway = await startCounting(`redis+unix://${encodeURI(socket)}`, 2);
    await expectExact([gateway], [newAddress()], 2);
    await gateway.stop();
    await redis.close();
  });

  test('counts over a socket with a user and a password', async () => {
    const socket = join(folder, 'locked');
    const redis = await startRedis('--unixsocket', socket);
    const rights = ['~gateway:*', '+evalsha', '+eval', '+pttl', '+incr', '+set'];
    await redis.command('ACL', 'SETUSER', 'gateway', 'on', `>${password}`, ...rights);
    await redis.command('ACL', 'SETUSER', 'default', 'off');
    const gateway = await startCounting(`redis+unix://gateway:${encoded}@localhost${socket}`, 2);
    await expectExact([gateway], [newAddress()], 2);
    await gateway.stop();
  });

  const hasIpv6 = Object.values(networkInterfaces()).some((found) =>
    found?.some(({ address }) => address === '::1'),
  );
  test.skipIf(!hasIpv6)('counts at an IPv6 address', async () => {
    const redis = await startRedis('--bind', '127.0.0.1 ::1');
    const gateway = await startCounting(`redis://[::1]:${redis.port}`, 2);
    await expectExact([gateway], [newAddress()], 2);
    await gateway.stop();
    await redis.close();
  });
});

describe.skipIf(!redisAvailable)('a cluster', () => {
  test('counts for a user with the rights that config.md lists, and stderr stays empty', async () => {
    const cluster = await startCluster({ replicas: 0 });
    const rights = ['~gateway:*', '+evalsha', '+eval', '+pttl', '+incr', '+set', '+asking', '+cluster|slots'];
    for (const node of cluster.nodes) {
      await node.command('ACL', 'SETUSER', 'gateway', 'on', `>${password}`, ...rights);
      await node.command('ACL', 'SETUSER', 'default', '-info', '-evalsha', '-eval');
    }
    const url = cluster.nodes.map(({ port }) => `redis://gateway:${encoded}@127.0.0.1:${port}`).join(',');
    const gateway = await startCounting(url, 2);
    await expectExact([gateway], Array.from({ length: 20 }, newAddress), 2);
    for (const node of cluster.nodes) expect(await node.command('ACL', 'LOG')).toEqual([]);
    expect(outageLines(gateway).filter(({ msg }) => msg !== 'redis shards')).toEqual([]);
    await gateway.stop();
    expect(gateway.stderr()).toBe('');
    expect(gateway.stdout()).not.toContain(encoded);
    await cluster.close();
  });

  test('counts over TLS, with an authority that NODE_EXTRA_CA_CERTS names', async () => {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    writeFileSync(key, trusted.key);
    writeFileSync(cert, trusted.cert);
    const files = ['--tls-key-file', key, '--tls-cert-file', cert, '--tls-ca-cert-file', cert];
    const options = [...files, '--tls-auth-clients', 'no', '--tls-cluster', 'yes'];
    const cluster = await startCluster({ replicas: 0, options });
    const ports = await Promise.all(cluster.nodes.map(() => freePort()));
    for (const [i, node] of cluster.nodes.entries()) {
      await node.command('CONFIG', 'SET', 'tls-port', String(ports[i]));
    }
    const config = await clusterConfig(2);
    const url = ports.map((port) => `rediss://127.0.0.1:${port}`).join(',');
    const env = { REDIS_URL: url, NODE_EXTRA_CA_CERTS: cert };
    const gateway = await startGateway(config, { env });
    const some = Array.from({ length: 20 }, newAddress);
    const allCount = async () =>
      (await Promise.all(some.map((address) => ask(gateway, address)))).every(isCounted);
    await until(allCount, 'the nodes have told each other their new ports', 10_000);
    await expectExact([gateway], Array.from({ length: 20 }, newAddress), 2);
    await gateway.stop();

    const stranger = await startGateway(config, { env: { REDIS_URL: url } });
    expect(isCounted(await ask(stranger, newAddress()))).toBe(false);
    const { reason } = await stranger.waitForLog(({ msg }) => msg === 'redis lost');
    expect(reason).toMatch(/certificate/);
    await stranger.stop();
    await cluster.close();
  });
});
