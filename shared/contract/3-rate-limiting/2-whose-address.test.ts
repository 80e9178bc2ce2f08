// An anonymous caller is counted by the address of its connection, because a client can write anything into
// X-Forwarded-For. Only a trusted proxy is believed, and the field is read from the right, past all trusted
// proxies. An IPv6 address counts by its first 64 bits, which one household has for itself.

import type http from 'node:http';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, send } from '../harness/client.ts';
import { configFor, type Gateway, startGateway } from '../harness/gateway.ts';
import { quotaOf } from '../harness/rate-limit-fields.ts';
import { startUpstream, type Upstream } from '../harness/upstream.ts';

// Every test uses addresses of its own, so the count of an address shows which bucket a call was charged to.
// The embedded Redis is enough for that.
const limit = 1_000;
const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);

let service: Upstream;
/** Its trustedProxies are the peer of every test (127.0.0.1) and two networks. */
let behindProxy: Gateway;
/** Its trustedProxies are one network, without the peer of the tests. */
let onItsOwn: Gateway;

beforeAll(async () => {
  service = await startUpstream();
  // On the dual-stack address :: Node reports an IPv4 peer as ::ffff:127.0.0.1.
  const env: Record<string, string> = hasIpv6 ? { HOST: '::' } : {};
  const start = (trustedProxies: string[]) =>
    startGateway(
      configFor(
        {
          services: { a: { url: service.url, timeoutMs: 5_000 } },
          routes: [{ prefix: '/a', service: 'a', access: 'public' }],
          trustedProxies,
          rateLimit: {
            identified: { limit, windowMs: 60_000 },
            anonymous: { limit, windowMs: 60_000 },
            whenRedisFails: 'reject',
          },
        },
        3,
      ),
      { env },
    );
  [behindProxy, onItsOwn] = await Promise.all([
    start(['127.0.0.1', '10.0.0.0/8', '2001:db8:ffff::/48']),
    start(['10.0.0.0/8']),
  ]);
});

afterAll(async () => {
  await Promise.all([behindProxy?.stop(), onItsOwn?.stop()]);
});

/** X-Forwarded-For of the requests that the service got after the first `count`, mapped IPv4 addresses as IPv4. */
const toldSince = (count: number): string[] =>
  service.seen
    .slice(count)
    .map(({ headersDistinct }) => String(headersDistinct['x-forwarded-for']).replaceAll('::ffff:', ''));

const from = (forwardedFor: string | string[], gateway = behindProxy): Promise<Answer> =>
  send(gateway, '/a/1', { headers: { 'X-Forwarded-For': forwardedFor } });

/** The number of calls that the bucket of this answer has counted, this one included. */
function counted(answer: Answer): number {
  expect(answer.status).toBe(200);
  const { policy, remaining } = quotaOf(answer);
  expect(policy).toBe('anonymous');
  return limit - remaining;
}

/** Makes one call from each address, and asserts that one bucket counted them all. */
async function expectOneBucket(...addresses: Array<string | string[]>): Promise<void> {
  const counts: number[] = [];
  for (const address of addresses) counts.push(counted(await from(address)));
  expect(counts, `one bucket for ${addresses.join(' | ')}`).toEqual(addresses.map((_, i) => i + 1));
}

describe('an address', () => {
  test('of IPv4 counts as a whole', async () => {
    await expectOneBucket('203.0.113.1', '203.0.113.1', '203.0.113.1');
    expect(counted(await from('203.0.113.2'))).toBe(1);
    expect(counted(await from('203.0.114.1'))).toBe(1);
  });

  test('of IPv4 written as IPv6 is the same address', async () => {
    await expectOneBucket(
      '203.0.113.7',
      '::ffff:203.0.113.7',
      '::FFFF:203.0.113.7',
      '::ffff:cb00:7107',
      '::FFFF:CB00:7107',
      '0:0:0:0:0:ffff:203.0.113.7',
      '0000:0000:0000:0000:0000:ffff:cb00:7107',
    );
    // All mapped IPv4 addresses are in the same /64, but each has its own bucket.
    expect(counted(await from('::ffff:203.0.113.8'))).toBe(1);
  });

  test('of IPv6 counts by its first 64 bits', async () => {
    await expectOneBucket(
      '2001:db8:1:2::1',
      '2001:db8:1:2:ffff:ffff:ffff:ffff',
      '2001:db8:1:2:0:0:0:5',
      '2001:0DB8:0001:0002::9',
      '2001:db8:1:2::192.0.2.1',
    );
    expect(counted(await from('2001:db8:1:3::1'))).toBe(1);
    expect(counted(await from('2001:db8:2:2::1'))).toBe(1);
  });

  test('of IPv6 is expanded before its bits are counted', async () => {
    await expectOneBucket('2001:db8::1', '2001:db8:0:0:1::', '2001:db8::5:6:7:8', '2001:db8:0::1');
    expect(counted(await from('2001:db8:0:1::1'))).toBe(1);
  });
});

describe('X-Forwarded-For from a trusted proxy', () => {
  test('is read from the right: what the client wrote before it means nothing', async () => {
    await expectOneBucket('203.0.113.20', '198.51.100.20, 203.0.113.20', '2.2.2.2,3.3.3.3 ,203.0.113.20');
    await expectOneBucket('10.0.0.1, 203.0.113.21', '127.0.0.1, 203.0.113.21');
    expect(counted(await from('198.51.100.20'))).toBe(1);
  });

  test('is read past the proxies that are trusted too', async () => {
    await expectOneBucket(
      '203.0.113.30',
      '203.0.113.30, 10.1.2.3',
      '1.1.1.2, 203.0.113.30, 10.1.2.3, 10.9.9.9',
      '203.0.113.30, 2001:db8:ffff:1::1',
      '203.0.113.30, 127.0.0.1, 10.0.0.1',
      '203.0.113.30, ::ffff:10.0.0.7',
    );
    // 11.0.0.1 and 2001:db8:fffe::1 are just outside the trusted networks.
    await expectOneBucket('203.0.113.30, 11.0.0.1', '203.0.113.31, 11.0.0.1');
    await expectOneBucket('203.0.113.30, 2001:db8:fffe::1', '203.0.113.31, 2001:db8:fffe::1');
  });

  test('may come on several lines', async () => {
    await expectOneBucket('203.0.113.40', ['1.1.1.3', '203.0.113.40'], ['203.0.113.40', '10.0.0.1']);
  });

  test('is written anew for the service: the client, then every proxy', async () => {
    const before = service.seen.length;
    await from('203.0.113.50');
    await from('6.6.6.6, 203.0.113.50');
    await from('2001:db8:5::1');
    await from('6.6.6.6, 203.0.113.50, 10.1.2.3, 10.9.9.9');
    expect(toldSince(before)).toEqual([
      '203.0.113.50, 127.0.0.1',
      '203.0.113.50, 127.0.0.1',
      '2001:db8:5::1, 127.0.0.1',
      '203.0.113.50, 10.1.2.3, 10.9.9.9, 127.0.0.1',
    ]);
  });

  test('may have ports: they are no part of an address', async () => {
    await expectOneBucket('203.0.113.60', '203.0.113.60:4711', '203.0.113.60:1');
    await expectOneBucket('2001:db8:60::1', '[2001:db8:60::1]:443', '[2001:db8:60::1]', '[2001:DB8:60::2]:1');
    await expectOneBucket(
      '203.0.113.61, 10.1.2.3:443',
      '203.0.113.61:50123, [2001:db8:ffff::1]:443, 10.1.2.3',
      '6.6.6.6:1, 203.0.113.61:2, [2001:db8:ffff::1]',
    );
    const before = service.seen.length;
    await from('203.0.113.62:50123');
    await from('203.0.113.62:50123, [2001:db8:ffff::1]:443, 10.1.2.3:80');
    await from('[2001:db8:62::1]:443');
    expect(toldSince(before)).toEqual([
      '203.0.113.62, 127.0.0.1',
      '203.0.113.62, 2001:db8:ffff::1, 10.1.2.3, 127.0.0.1',
      '2001:db8:62::1, 127.0.0.1',
    ]);
  });

  test('that has a member which is no address tells the service the peer', async () => {
    const before = service.seen.length;
    for (const value of ['unknown', 'garbage, 10.1.2.3', '203.0.113.63, <script>, 10.1.2.3', ',,'])
      await from(value);
    expect(toldSince(before)).toEqual(Array(4).fill('127.0.0.1'));
  });

  test.each([
    ['203.0.113.80', '203.0.113.80'],
    ['6.6.6.6, 203.0.113.81:4711, 10.1.2.3', '203.0.113.81'],
    ['::FFFF:203.0.113.82', '203.0.113.82'],
    ['[2001:db8:1:80::7]:443', '2001:db8:1:80::/64'],
    ['fe80::1%eth0.100', 'fe80:0:0:0::/64'],
    ['unknown', '127.0.0.1'],
  ])('decides about the address in the log: %s', async (value, address) => {
    const path = `/a/logged-${address.replaceAll('/', '-')}`;
    await send(behindProxy, path, { headers: { 'X-Forwarded-For': value } });
    const missing = path.replace('/a/', '/missing/');
    await send(behindProxy, missing, { headers: { 'X-Forwarded-For': value } });
    for (const logged of [path, missing]) {
      expect(await behindProxy.waitForLog((line) => line.path === logged)).toMatchObject({ address });
    }
  });

  test('brings X-Forwarded-Proto and X-Forwarded-Host along, as the client of the proxy saw them', async () => {
    const before = service.seen.length;
    const said = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'shop.example' };
    await send(behindProxy, '/a/1', { headers: { ...said, 'X-Forwarded-For': '203.0.113.51' } });
    expect(service.seen[before]?.headers).toMatchObject({
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
    });
  });

  test('may be missing: then the proxy itself is the client', async () => {
    const before = service.seen.length;
    await send(behindProxy, '/a/1');
    expect(toldSince(before)).toEqual(['127.0.0.1']);
  });

  test.each([
    ['a word', 'garbage'],
    ['nothing', ''],
    ['blanks', '  '],
    ['commas', ',,,'],
    ['unknown, as proxies write', 'unknown'],
    ['too few parts', '1.2.3'],
    ['too many parts', '1.2.3.4.5'],
    ['a part over 255', '999.1.1.1'],
    ['a port that is none', '203.0.113.60:http'],
    ['a port of six digits', '203.0.113.60:123456'],
    ['a bracket', '[2001:db8::60'],
    ['brackets around a word', '[x]:4711'],
    ['a bad mapped address', '::ffff:999.1.1.1'],
    ['colons', ':::'],
    ['two gaps', '2001:db8::1::2'],
    ['a zone', 'fe80::1%eth0'],
    ['a zone with a dot', 'fe80::1%eth0.100'],
    ['a zone of an odd name', 'fe80::1%}{*'],
    ['a hidden name', '_hidden'],
    ['a number', '0x0a000001, 10.1'],
    ['quotes', '"203.0.113.60"'],
    ['markup at the right end', '203.0.113.60, <script>'],
    ['the marks of a Redis key', '*}{'],
    ['hexadecimal IPv4', '0x7f.1'],
    ['trusted proxies only', '10.0.0.1, 10.0.0.2'],
    ['500 addresses', `${'1.1.1.1, '.repeat(500)}10.0.0.1`],
    ['8000 letters', 'x'.repeat(8_000)],
    ['bytes above 127', '\xe9\xff'],
  ])('may be nonsense, and is counted in a bucket all the same: %s', async (_what, value) => {
    const first = counted(await from(value));
    expect(first).toBeGreaterThanOrEqual(1);
    expect(counted(await from(value))).toBe(first + 1);
  });
});

describe('X-Forwarded-Proto, -Host and -Port from trusted proxies', () => {
  const client = '203.0.113.90';

  /** What the service gets for what the peer has sent, with X-Forwarded-For of one proxy, or as given. */
  async function told(
    fields: { proto?: string | string[]; host?: string | string[]; port?: string | string[]; for?: string },
    gateway = behindProxy,
  ) {
    const headers: http.OutgoingHttpHeaders = {
      Host: 'own.example',
      'X-Forwarded-For': fields.for ?? client,
    };
    if (fields.proto !== undefined) headers['X-Forwarded-Proto'] = fields.proto;
    if (fields.host !== undefined) headers['X-Forwarded-Host'] = fields.host;
    if (fields.port !== undefined) headers['X-Forwarded-Port'] = fields.port;
    const before = service.seen.length;
    expect((await send(gateway, '/a/1', { headers })).status).toBe(200);
    const seen = service.seen[before]?.headersDistinct;
    return ['proto', 'host', 'port'].map((name) => seen?.[`x-forwarded-${name}`]?.join(' and '));
  }

  test('are passed on', async () => {
    expect(await told({ proto: 'https', host: 'shop.example:8443', port: '8443' })).toEqual([
      'https',
      'shop.example:8443',
      '8443',
    ]);
  });

  test('are read at the member that belongs to the client', async () => {
    const one = { proto: 'https, http', host: 'shop.example, inner', port: '443, 8080' };
    // One trusted hop, the peer: the last member. The first one is what the client has written.
    expect(await told(one)).toEqual(['http', 'inner', '8080']);
    const two = { ...one, for: `${client}, 10.1.2.3` };
    expect(await told(two)).toEqual(['https', 'shop.example', '443']);
    expect(await told({ ...two, proto: `http, ${one.proto}`, host: `evil, ${one.host}` })).toEqual([
      'https',
      'shop.example',
      '443',
    ]);
    const lines = { proto: ['https', 'http'], host: ['shop.example', 'inner'], port: ['443', '8080'] };
    expect(await told({ ...lines, for: `${client},10.1.2.3` })).toEqual(['https', 'shop.example', '443']);
    // The client is the first trusted address if all are trusted.
    expect(await told({ ...one, for: '10.9.9.9, 10.1.2.3' })).toEqual(['https', 'shop.example', '443']);
  });

  test('may have fewer members than there are proxies: the first one counts', async () => {
    const three = `${client}, 10.1.2.3, 10.9.9.9`;
    expect(await told({ proto: 'https, http', host: 'shop.example', port: '443', for: three })).toEqual([
      'https',
      'shop.example',
      '443',
    ]);
  });

  test('count without X-Forwarded-For, too, and when it has no address', async () => {
    const fields = { proto: 'https', host: 'shop.example', port: '443' };
    for (const value of ['', 'unknown']) {
      expect(await told({ ...fields, for: value })).toEqual(['https', 'shop.example', '443']);
    }
  });

  test.each([
    ['nothing', { proto: '', host: '', port: '' }],
    ['other schemes, hosts and ports', { proto: 'ftp', host: 'a b', port: 'http' }],
    ['markup', { proto: '<script>', host: '<script>', port: '<script>' }],
    ['values out of range', { proto: 'httpss', host: 'user@shop.example', port: '0' }],
    [
      'a garbled member for the client',
      { proto: 'http?, https', host: '/, b', port: '-1, 443', for: `${client}, 10.1.2.3` },
    ],
    ['no fields', {}],
  ])('are replaced by those of the connection if they are not usable: %s', async (_, fields) => {
    expect(await told(fields)).toEqual(['http', 'own.example', undefined]);
  });

  test('are dropped if the peer is not trusted', async () => {
    const fields = { proto: 'https', host: 'shop.example', port: '443' };
    expect(await told(fields, onItsOwn)).toEqual(['http', 'own.example', undefined]);
  });
});

describe('X-Forwarded-For from any other peer', () => {
  const spoofs: http.OutgoingHttpHeaders[] = [
    {},
    { 'X-Forwarded-For': '203.0.113.70' },
    { 'X-Forwarded-For': '10.0.0.1' },
    { 'X-Forwarded-For': '203.0.113.71, 10.0.0.1' },
    { 'X-Forwarded-For': ['203.0.113.72', '10.0.0.2'] },
    { 'X-Forwarded-For': 'garbage' },
    { 'X-Real-IP': '203.0.113.73' },
    { Forwarded: 'for=203.0.113.74' },
    { 'X-Client-IP': '203.0.113.75', 'CF-Connecting-IP': '203.0.113.76', 'True-Client-IP': '203.0.113.77' },
    { 'X-Forwarded-For': '203.0.113.70', Connection: 'close, X-Forwarded-For' },
  ];

  test('opens no bucket of its own: the peer is counted', async () => {
    const counts: number[] = [];
    for (const headers of spoofs) counts.push(counted(await send(onItsOwn, '/a/1', { headers })));
    const first = counts[0] as number;
    expect(counts).toEqual(spoofs.map((_, i) => first + i));
  });

  test('never reaches the service, which is told the peer', async () => {
    const before = service.seen.length;
    for (const headers of spoofs) await send(onItsOwn, '/a/1', { headers });
    expect(toldSince(before)).toEqual(spoofs.map(() => '127.0.0.1'));
    const seen = JSON.stringify(
      service.seen.slice(before).map(({ headers }) => [headers.forwarded, headers['x-real-ip']]),
    );
    expect(seen).not.toContain('203.0.113');
  });

  test.skipIf(!hasIpv6)('leaves IPv4 and IPv6 peers of one listener in different buckets', async () => {
    const overIpv4 = counted(await send(onItsOwn, '/a/1'));
    const { port } = onItsOwn;
    const before = service.seen.length;
    expect(counted(await send({ host: '::1', port }, '/a/1', { headers: { Host: 'gateway' } }))).toBe(1);
    expect(toldSince(before)).toEqual(['::1']);
    expect(counted(await send(onItsOwn, '/a/1'))).toBe(overIpv4 + 1);
  });
});
