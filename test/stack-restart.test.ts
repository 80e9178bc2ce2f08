import { expect, test } from 'vitest';
import { settled, until } from '../shared/contract/harness/client.ts';
import { redisAvailable } from '../shared/contract/harness/redis.ts';
import { arePresent } from './support/program.ts';
import { startBalancedGateways } from './support/stack-processes.ts';

const present = arePresent('haproxy') && redisAvailable;
const callers = 8;
const order = { customerId: 1, lines: [{ sku: 'LMP-001', quantity: 1 }] };
const key = { 'x-api-key': 'demo-partner-web-key' };

// The balancer may not send a POST twice. So each one must reach a gateway that answers it.
test.skipIf(!present)(
  'a rolling restart of both gateways loses no POST',
  async () => {
    const stack = await startBalancedGateways(undefined, [['"limit": 100,', '"limit": 1000000,']]);
    const outcomes = new Map<string, number>();
    let restarting = true;
    const call = async () => {
      while (restarting) {
        const status = fetch(`${stack.balancer}/api/orders`, {
          method: 'POST',
          headers: { ...key, 'content-type': 'application/json' },
          body: JSON.stringify(order),
        }).then(async (answer) => {
          await answer.text();
          return String(answer.status);
        });
        const outcome = await status.catch((error: Error) => String(error.cause ?? error));
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
    };
    const answered = () => [...outcomes.values()].reduce((sum, count) => sum + count, 0);
    const calls = Promise.all(Array.from({ length: callers }, call));
    try {
      for (const gateway of stack.gateways) {
        // A busy gateway: it finds the signal together with connections that it has not accepted yet.
        gateway.child.kill('SIGSTOP');
        await settled(answered);
        gateway.child.kill('SIGTERM');
        gateway.child.kill('SIGCONT');
        expect(await gateway.ended).toBe(0);
        const next = await stack.restart(gateway);
        await until(() => next.stdout().includes('"status":201'), 'the new gateway gets requests', 20_000);
      }
    } finally {
      restarting = false;
      await calls;
    }
    expect([...outcomes.keys()]).toEqual(['201']);
    expect(outcomes.get('201')).toBeGreaterThan(100);
  },
  120_000,
);
