// A mistake in the config or the environment ends the start with exit code 1: otherwise it is found when a
// request fails. One message names every mistake with its place. A gateway that has started uses its whole
// config as it is written.

import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { send } from '../harness/client.ts';
import { configFor, level, startAndFail, startGateway } from '../harness/gateway.ts';
import { startUpstream } from '../harness/upstream.ts';

/** A deep copy of a valid config, in which a test makes an error. */
// biome-ignore lint/suspicious/noExplicitAny: tests write values of the wrong type into it.
function properConfig(): any {
  return structuredClone(
    configFor({
      services: {
        inventory: { url: 'http://127.0.0.1:4001', timeoutMs: 30_000 },
        orders: { url: 'http://127.0.0.1:4002', timeoutMs: 30_000 },
      },
      routes: [
        { prefix: '/api/inventory', service: 'inventory' },
        { prefix: '/api/orders', service: 'orders' },
      ],
    }),
  );
}

describe('environment', () => {
  test('PORT=0 picks a free port, and the log names it', async () => {
    const gateway = await startGateway(properConfig(), { env: { PORT: '0' } });
    expect((await send(gateway, '/health')).status).toBe(200);
    await gateway.stop();
  });

  test('LOG_LEVEL=warn keeps requests out of the log', async () => {
    const service = await startUpstream();
    const gateway = await startGateway(
      configFor({
        services: { service: { url: service.url, timeoutMs: 5_000 } },
        routes: [{ prefix: '/api', service: 'service' }],
      }),
      { env: { LOG_LEVEL: 'warn' } },
    );
    expect((await send(gateway, '/api/x')).status).toBe(200);
    await gateway.stop();
    expect(gateway.log().filter((line) => Number(line.level) < 40)).toEqual([]);
  });

  test('a port in use stops the start, names host and port, and exits with 1', async () => {
    const occupant = net.createServer().listen(0, '127.0.0.1');
    await once(occupant, 'listening');
    const { port } = occupant.address() as AddressInfo;
    const { code, stdout, stderr } = await startAndFail(properConfig(), { env: { PORT: String(port) } });
    occupant.close();
    expect(code).toBe(1);
    expect(stderr).toContain(`127.0.0.1:${port}`);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout).not.toContain('listening');
  });

  test('a PORT that is none stops the start, is named, and exits with 1', async () => {
    const { code, stderr } = await startAndFail(properConfig(), { env: { PORT: 'http' } });
    expect(code).toBe(1);
    expect(stderr).toContain('PORT');
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

describe.concurrent.each([
  ['DRAIN_DELAY_MS', ['soon', '-1', '1.5', '300001']],
  ['KEEP_ALIVE_TIMEOUT_MS', ['long', '999', '1000.5', '86400001']],
])('the environment variable %s', (name, values) => {
  test.each(values)('stops the start and is named when it is %s', async (value) => {
    const { code, stderr } = await startAndFail(properConfig(), { env: { [name]: value } });
    expect(code).toBe(1);
    expect(stderr).toContain(name);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

describe('a config', () => {
  // Some editors write one. JSON.parse() refuses it, and the message does not show it.
  test('may begin with a byte order mark', async () => {
    const gateway = await startGateway(`\uFEFF${JSON.stringify(properConfig())}`);
    expect((await send(gateway, '/health')).status).toBe(200);
    await gateway.stop();
  });

  // Editors that read it complete and check the file while it is written.
  test('may name its schema at the top', async () => {
    const gateway = await startGateway({ $schema: './gateway.schema.json', ...properConfig() });
    expect((await send(gateway, '/health')).status).toBe(200);
    await gateway.stop();
  });
});

describe.concurrent('a bad config', () => {
  /** Starts the gateway with it. Expects exit code 1 and one message with these parts, each on its own line. */
  async function expectRefused(
    config: Parameters<typeof startAndFail>[0],
    parts: Array<string | RegExp>,
    env: Record<string, string> = {},
  ): Promise<void> {
    const { code, stdout, stderr } = await startAndFail(config, { env });
    expect(code).toBe(1);
    expect(stderr).not.toMatch(/^\s+at |node:internal|ZodError/m);
    expect(stdout).not.toContain('listening');
    const lines = stderr.split(/\r?\n/);
    const missing = parts.filter(
      (part) =>
        !lines.some((line) => (typeof part === 'string' ? line.trim().startsWith(part) : part.test(line))),
    );
    expect({ missing, stderr }).toEqual({ missing: [], stderr });
  }

  test('that is not JSON is refused', async () => {
    await expectRefused('{ "services": ', [/gateway-\d+\.json/]);
  });

  test('that is missing is refused with its name', async () => {
    const file = join(tmpdir(), 'no-such-gateway.json');
    await expectRefused(properConfig(), [/no-such-gateway\.json/], { GATEWAY_CONFIG: file });
  });

  test('that is empty is refused, and every missing section is named', async () => {
    const config = properConfig();
    await expectRefused(
      '{}',
      Object.keys(config).map((section) => `${section}:`),
    );
  });

  test('has every bad value named in one message', async () => {
    const config = properConfig();
    Object.assign(config.services, {
      ftp: { url: 'ftp://127.0.0.1/', timeoutMs: 1_000 },
      words: { url: 'not a url', timeoutMs: 1_000 },
      number: { url: 4001, timeoutMs: 1_000 },
      zero: { url: 'http://127.0.0.1', timeoutMs: 0 },
      negative: { url: 'http://127.0.0.1', timeoutMs: -1 },
      fraction: { url: 'http://127.0.0.1', timeoutMs: 1.5 },
      text: { url: 'http://127.0.0.1', timeoutMs: '1000' },
      untimed: { url: 'http://127.0.0.1' },
      misspelt: { url: 'http://127.0.0.1', timeoutMs: 1_000, timeoutMS: 1_000 },
    });
    const template = config.routes[0];
    const prefixes = ['', '/', 'api', '/api/', '/health', 7];
    config.routes = [
      template,
      ...prefixes.map((prefix) => ({ ...template, prefix })),
      { ...template, prefix: '/extra', extra: true },
      { ...template, prefix: '/unserved', service: undefined },
    ];
    config.sevrices = {};
    await expectRefused(config, [
      'services.ftp.url: ',
      'services.words.url: ',
      'services.number.url: ',
      'services.zero.timeoutMs: ',
      'services.negative.timeoutMs: ',
      'services.fraction.timeoutMs: ',
      'services.text.timeoutMs: ',
      'services.untimed.timeoutMs: ',
      /services\.misspelt.*timeoutMS/,
      ...prefixes.map((_, i) => `routes[${i + 1}].prefix: `),
      /routes\[7\].*extra/,
      'routes[8].service: ',
      /sevrices/,
    ]);
  });

  test('has wrong references named, too, beside wrong values', async () => {
    const config = properConfig();
    const template = config.routes[0];
    config.services.orders.timeoutMs = 'soon';
    config.routes.push(
      { ...template, prefix: '/api/orders' },
      { ...template, prefix: '/a', service: 'ordres' },
      { ...template, prefix: '/b', service: 'constructor' },
      { ...template, prefix: '/c', service: '__proto__' },
      { ...template, prefix: '/api/inventory' },
    );
    config.unheardOf = {};
    await expectRefused(config, [
      'services.orders.timeoutMs: ',
      'routes[2].prefix: ',
      'routes[3].service: ',
      'routes[4].service: ',
      'routes[5].service: ',
      'routes[6].prefix: ',
      /unheardOf/,
    ]);
  });

  test('has a missing prefix called missing, not repeated', async () => {
    const config = properConfig();
    for (const route of config.routes) delete route.prefix;
    const { code, stderr } = await startAndFail(config);
    expect(code).toBe(1);
    const lines = stderr.split(/\r?\n/).map((line) => line.trim());
    const fields = lines.filter((line) => line.startsWith('routes[')).map((line) => line.split(':', 1)[0]);
    expect({ fields, stderr }).toEqual({ fields: ['routes[0].prefix', 'routes[1].prefix'], stderr });
  });

  // JSON.parse() takes the last one silently. The text of the first may be what its author sees.
  test.each<[where: string, from: string, to: string, field: string]>([
    ['at the top', '"routes": [', '"routes": [], "routes": [', 'routes'],
    ['in a section', '"orders": {', '"orders": 1,\n"orders": {', 'services.orders'],
    [
      'with the same value',
      '"timeoutMs": 1000',
      '"timeoutMs": 1000, "timeoutMs": 1000',
      'services.orders.timeoutMs',
    ],
    ['in a list', '"prefix": "/b"', '"prefix": "/b",\n"prefix": "/c"', 'routes[1].prefix'],
    ['with an escape', '"prefix": "/b"', '"\\u0070refix": "/c",\n"prefix": "/b"', 'routes[1].prefix'],
  ])('with a key that occurs twice is refused, and the key is named: %s', async (_where, from, to, field) => {
    const config = configFor({
      services: { orders: { url: 'http://127.0.0.1:4002', timeoutMs: 1_000 } },
      routes: [
        { prefix: '/a', service: 'orders' },
        { prefix: '/b', service: 'orders' },
      ],
    });
    const text = JSON.stringify(config, null, 2);
    expect(text).toContain(from);
    await expectRefused(
      text.replace(from, () => to),
      [`${field}: `],
    );
  });

  test('names both lines of a key that occurs twice, beside every other mistake, and not its value', async () => {
    const config = properConfig();
    config.services.inventory.timeoutMs = 'soon';
    const text = JSON.stringify(config, null, 2).replace('"routes": [', '"routes": "s3cret",\n$&');
    const line = text.slice(0, text.indexOf('s3cret')).split('\n').length;
    await expectRefused(text, [
      'services.inventory.timeoutMs: ',
      new RegExp(`^ *routes: .*\\b${line} and ${line + 1}$`),
    ]);
    const { stderr } = await startAndFail(text);
    expect(stderr).not.toContain('s3cret');
  });

  test('that is nested 100,000 deep is refused', async () => {
    await expectRefused(`{ "services": ${'['.repeat(100_000)}${']'.repeat(100_000)} }`, ['services: ']);
  });

  test('has a prefix that is set twice named with both places', async () => {
    const config = properConfig();
    config.routes.push({ ...config.routes[0], service: 'orders' });
    await expectRefused(config, [/^ *routes\[2\]\.prefix: .*\broutes\[0\].*"\/api\/inventory"/]);
  });

  test('with sections of later phases is refused', async () => {
    const later: Array<[section: string, phase: number]> = [
      ['clients', 2],
      ['trustedProxies', 3],
      ['rateLimit', 3],
      ['circuitBreaker', 4],
      ['serverTiming', 6],
      ['plugins', Number.POSITIVE_INFINITY],
    ];
    const unknown = later.filter(([, phase]) => phase > level).map(([section]) => section);
    const config = properConfig();
    for (const section of unknown) config[section] = [];
    if (level < 2) config.routes[0].access = 'public';
    await expectRefused(config, [
      ...unknown.map((section) => new RegExp(`\\b${section}\\b`)),
      ...(level < 2 ? [/routes\[0\].*access/] : []),
    ]);
  });
});
