import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { root } from '../shared/repository/phases.ts';
import { type RedisFigures, readFigures, readGatewayUs } from '../shared/scale/figures.ts';
import { planFor, type ScaleLoad, targetUse } from '../shared/scale/model.ts';

const figures: RedisFigures = {
  date: '2026-01-01',
  machine: {},
  countUs: 6,
  replicatedCountUs: 9,
  replicaUs: 3,
  hotCountUs: 5,
  clientBytes: 100,
  addressBytes: 200,
  streamBytes: 50,
};
const plan = (load: Partial<ScaleLoad>) =>
  planFor({ rps: 100_000, clients: 1000, addresses: 0, replicas: 0, ...load }, 60, figures);

describe('the model', () => {
  test('fills cores to the target', () => {
    expect(plan({})).toMatchObject({ gateways: 10, shards: 1, connectionsPerPrimary: 10 });
    expect(plan({ rps: 200_000 })).toMatchObject({ gateways: 20, shards: 2, primaryUse: targetUse });
  });

  test('divides memory and replication by the shards', () => {
    expect(plan({ rps: 200_000, addresses: 500 }).memoryPerShardBytes).toBe(100_000);
    const replicated = plan({ rps: 200_000, replicas: 1 });
    expect(replicated).toMatchObject({ shards: 3, redisProcesses: 6 });
    expect(replicated.replicationPerShard).toBeCloseTo((200_000 * 50) / 3);
  });

  test('never needs fewer of anything for twice the requests, and never plans above the target', () => {
    const rps = fc.integer({ min: 1, max: 1e7 });
    fc.assert(
      fc.property(rps, fc.integer({ min: 0, max: 5 }), (once, replicas) => {
        const [less, more] = [plan({ rps: once, replicas }), plan({ rps: 2 * once, replicas })];
        expect(more.shards).toBeGreaterThanOrEqual(less.shards);
        expect(more.gateways).toBeGreaterThanOrEqual(less.gateways);
        expect(Math.max(less.primaryUse, less.gatewayUse)).toBeLessThanOrEqual(targetUse + 1e-9);
      }),
    );
  });
});

test('the figures come from docs/costs.md and from a measurement', () => {
  expect(readGatewayUs(readFileSync(join(root, 'docs', 'costs.md'), 'utf8'), 6)).toBeGreaterThan(0);
  expect(() => readGatewayUs('', 6)).toThrow('no cost of phase 6');
  const { date, machine, ...numbers } = readFigures();
  expect(date).toMatch(/^\d{4}-\d\d-\d\d$/);
  expect(Object.values(machine)).not.toContain('unknown');
  for (const number of Object.values(numbers)) expect(number).toBeGreaterThan(0);
});

describe('npm run scale', () => {
  const run = (...words: string[]) =>
    spawnSync(process.execPath, ['--import', 'tsx', join(root, 'shared', 'cli', 'scale.ts'), ...words], {
      encoding: 'utf8',
    });

  test('prints the plan, its sources and the next step', () => {
    const { stdout, status } = run('--rps', '200000', '--clients', '5000000');
    expect(stdout).toMatch(/shards +\d+\n/);
    expect(stdout).toContain('in docs/costs.md');
    expect(stdout).toContain('Next: ');
    expect(status).toBe(0);
  });

  test.each([
    [['--rps', '5'], '--rps and --clients are needed.'],
    [['--rps', '0', '--clients', '1'], '--rps takes a whole number from 1 to 1000000000, not "0".'],
    [['--rps', '5', '--clients', 'many'], 'not "many".'],
    [['--rps', '5', '--clients', '1', '--replicas', '6'], '--replicas takes a whole number from 0 to 5'],
    [['5'], 'Did not expect "5".'],
  ])('refuses %j', (words, message) => {
    const { stderr, status } = run(...words);
    expect(stderr).toContain(message);
    expect(status).toBe(1);
  });
});
