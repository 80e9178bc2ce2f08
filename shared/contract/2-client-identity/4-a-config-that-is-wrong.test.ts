// The config names clients with their digests, and the access of every route. A digest that belongs to two
// clients, or a key where a digest belongs, ends the start. The message names every place, and never shows
// the value, because it may be a key.

import { describe, expect, test } from 'vitest';
import { expectProblem, send } from '../harness/client.ts';
import { configFor, startAndFail, startGateway } from '../harness/gateway.ts';
import { canary, digest, inventory, key, mobileKey, orders } from './callers.ts';

describe.concurrent('the config', () => {
  const routes = [{ prefix: '/a', service: 'a', access: 'public' as const }];
  const services = { a: { url: 'http://127.0.0.1:9', timeoutMs: 1_000 } };

  test('is refused with every bad field named, and without a key that was put where a digest belongs', async () => {
    const shared = digest('shared');
    const config = configFor(
      {
        services,
        routes: [
          ...routes,
          { prefix: '/b', service: 'a', access: 'open' as 'public' },
          { prefix: '/c', service: 'a', access: undefined },
          { prefix: '/d', service: 'a', access: 'Public' as 'public' },
        ],
        clients: [
          { id: 'good', keySha256: [digest('good'), shared] },
          { id: 'plain', keySha256: [mobileKey] },
          { id: 'short', keySha256: [shared.slice(1)] },
          { id: 'letters', keySha256: ['g'.repeat(64)] },
          { id: 'none', keySha256: [] },
          { id: 'text', keySha256: digest('text') },
          { id: '', keySha256: [digest('empty')] },
          { id: 'misspelt', keySha256: [digest('misspelt')], keys: [] },
        ],
      },
      2,
    );
    const { code, stderr, stdout } = await startAndFail(config);
    expect(code).toBe(1);
    for (const field of [
      'routes[1].access',
      'routes[2].access',
      'routes[3].access',
      'clients[1].keySha256[0]',
      'clients[2].keySha256[0]',
      'clients[3].keySha256[0]',
      'clients[4].keySha256',
      'clients[5].keySha256',
      'clients[6].id',
      'clients[7]',
    ]) {
      expect(stderr).toContain(field);
    }
    expect(stderr).toContain('keys');
    expect(stderr).not.toContain('routes[0]');
    expect(stderr).not.toContain('clients[0]');
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout + stderr).not.toContain(canary);
  });

  test('is refused when a client id or a digest is there twice, and says all of them at once', async () => {
    const twice = digest('twice');
    const config = configFor(
      {
        services,
        routes,
        clients: [
          { id: 'one', keySha256: [digest('one')] },
          { id: 'one', keySha256: [digest('another')] },
          { id: 'within', keySha256: [twice, twice] },
          { id: 'across', keySha256: [digest('one')] },
          { id: 'capitals', keySha256: [digest('another').toUpperCase()] },
        ],
      },
      2,
    );
    const { code, stderr } = await startAndFail(config);
    expect(code).toBe(1);
    // Each with the place that has it first.
    expect(stderr).toMatch(/^ *clients\[1\]\.id: .*\bclients\[0\].*"one"/m);
    expect(stderr).toMatch(/^ *clients\[2\]\.keySha256\[1\]: .*\bclients\[2\]\.keySha256\[0\]/m);
    expect(stderr).toMatch(/^ *clients\[3\]\.keySha256\[0\]: .*\bclients\[0\]\.keySha256\[0\]/m);
    expect(stderr).toContain('clients[4].keySha256[0]');
    for (const text of ['one', 'another', 'twice']) expect(stderr).not.toContain(digest(text));
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('is refused when ids are missing, and calls them missing, not repeated', async () => {
    const clients = ['one', 'two'].map((name) => ({ keySha256: [digest(name)] }));
    const { code, stderr } = await startAndFail(configFor({ services, routes, clients }, 2));
    expect(code).toBe(1);
    const lines = stderr.split(/\r?\n/).map((line) => line.trim());
    const fields = lines.filter((line) => line.startsWith('clients[')).map((line) => line.split(':', 1)[0]);
    expect({ fields, stderr }).toEqual({ fields: ['clients[0].id', 'clients[1].id'], stderr });
  });

  test('is refused without clients', async () => {
    const config = configFor({ services, routes }, 2);
    delete config.clients;
    const { code, stderr } = await startAndFail(config);
    expect(code).toBe(1);
    expect(stderr).toContain('clients');
  });

  test('may name no client at all: then no key is known', async () => {
    const lonely = await startGateway(
      configFor({ services: { a: { url: inventory.url, timeoutMs: 1_000 } }, routes, clients: [] }, 2),
    );
    expect((await send(lonely, '/a')).status).toBe(200);
    expectProblem(await send(lonely, '/a', key(mobileKey)), 401, 'unknown-key');
  });

  test('takes a digest in capitals for the same digest, or refuses it: it never stands there unused', async () => {
    const config = configFor(
      {
        services: { a: { url: orders.url, timeoutMs: 1_000 } },
        routes: [{ prefix: '/a', service: 'a', access: 'protected' }],
        clients: [{ id: 'capitals', keySha256: [digest(mobileKey).toUpperCase()] }],
      },
      2,
    );
    const outcome = await startGateway(config).catch((error: Error) => error);
    if (outcome instanceof Error) expect(outcome.message).toContain('clients[0].keySha256[0]');
    else expect((await send(outcome, '/a', key(mobileKey))).status).toBe(200);
  });
});
