import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type Answer, connect, expectProblem, until } from './harness/client.ts';
import { startFakeRedis } from './harness/fake-redis.ts';
import { ask, counts, isCounted, outageLines, startLimited } from './harness/limited.ts';

// Added to the time limits of the contract, because a busy machine is late.
const noiseMs = 1_500;
const longestPauseMs = 2_000;

describe('an answer of Redis that says it cannot count', () => {
  test.each([
    'READONLY You can only write against a writable replica.',
    'CLUSTERDOWN The cluster is down',
    'LOADING Redis is loading the dataset in memory',
    'NOAUTH Authentication required.',
    "NOPERM User gateway has no permissions to run the 'evalsha' command",
    "OOM command not allowed when used memory > 'maxmemory'.",
    'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    'MASTERDOWN Link with MASTER is down',
    'ERR upstream failure of a proxy',
  ])('is an outage at once, and ends with a new connection: %s', async (error) => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url, { whenRedisFails: 'reject' });
    await counts(gateway);

    // The connections of this moment never count again, like those of an old primary after a failover.
    const last = redis.connections();
    redis.behave(([name], connection) => (name.startsWith('eval') && connection <= last ? error : undefined));
    expectProblem(await ask(gateway), 503, 'rate-limit-unavailable');
    const lost = await gateway.waitForLog(({ msg }) => msg === 'redis lost');
    expect(lost.reason).toBe(error);
    await counts(gateway);
    await gateway.waitForLog(({ msg }) => msg === 'redis found');
    expect(outageLines(gateway)).toHaveLength(2);
    expect(gateway.stderr()).toBe('');
    await gateway.stop();
  });

  test('is asked for on new connections only, with pauses that grow', async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url);
    await counts(gateway);
    const times: number[] = [];
    redis.behave(([name], connection) => {
      if (!name.startsWith('eval')) return undefined;
      times[connection] ??= performance.now();
      return 'CLUSTERDOWN The cluster is down';
    });
    const first = redis.connections() + 1;
    await ask(gateway);
    await until(() => times[first + 4] !== undefined, 'five new connections', 8_000);
    // The pauses before these connections are 500 ms, 1 s, 2 s and 2 s, each shortened by up to a half.
    const pauses = [1, 2, 3, 4].map((i) => Number(times[first + i]) - Number(times[first + i - 1]));
    for (const [i, atLeast] of [250, 500, 1_000, 1_000].entries()) {
      expect(pauses[i], `pause ${i + 1}`).toBeGreaterThanOrEqual(atLeast - 10);
      expect(pauses[i], `pause ${i + 1}`).toBeLessThan(longestPauseMs + noiseMs);
    }
    await gateway.stop();
  });
});

describe('an error about one key', () => {
  test('MOVED degrades its own bucket only, and is no outage', async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url, { limit: 3 });
    await counts(gateway);
    redis.behave((command) =>
      command.includes('gateway:{address:203.0.113.7}') ? 'MOVED 1234 127.0.0.1:7001' : undefined,
    );
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) {
      const own = await ask(gateway, '203.0.113.7');
      expect([own.status, isCounted(own)]).toEqual([200, false]);
      statuses.push((await ask(gateway, '203.0.113.8')).status);
    }
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    expect(outageLines(gateway)).toEqual([]);
    await gateway.stop();
  });

  test('is no outage either when it is the key with which the gateway checks Redis', async () => {
    const redis = await startFakeRedis();
    redis.behave((command) =>
      command.includes('gateway:{probe}')
        ? 'WRONGTYPE Operation against a key holding the wrong kind of value'
        : undefined,
    );
    const gateway = await startLimited(redis.url);
    for (let i = 0; i < 5; i++) expect(isCounted(await ask(gateway))).toBe(true);
    redis.closeConnections();
    await counts(gateway);
    await gateway.stop();
  });
});

// On an overloaded machine an answer may be late although no test holds it back, so some tests are retried.
describe('late answers of Redis', () => {
  test('cost the requests that waited for more than 200 ms, and are no outage', { retry: 2 }, async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url, { whenRedisFails: 'reject' });
    await counts(gateway);
    for (let stall = 1; stall <= 3; stall++) {
      redis.pause();
      const late = await Promise.all(Array.from({ length: 10 }, () => ask(gateway)));
      redis.resume();
      for (const answer of late) expectProblem(answer, 503, 'rate-limit-unavailable');
      expect(isCounted(await ask(gateway))).toBe(true);
    }
    expect(redis.connections()).toBe(1);
    expect(outageLines(gateway)).toEqual([]);
    await gateway.stop();
  });

  test('are an outage when nothing has arrived for 500 ms', async () => {
    const redis = await startFakeRedis();
    const gateway = await startLimited(redis.url, { whenRedisFails: 'reject' });
    await counts(gateway);
    redis.pause();
    const begin = performance.now();
    expectProblem(await ask(gateway), 503, 'rate-limit-unavailable');
    const lost = await gateway.waitForLog(({ msg }) => msg === 'redis lost');
    expect(performance.now() - begin).toBeGreaterThan(450);
    expect(performance.now() - begin).toBeLessThan(500 + noiseMs);
    expect(lost.reason).toBe('no answer within 500 ms');
    redis.resume();
    await counts(gateway);
    await gateway.stop();
  });

  test('are counted when the process of the gateway was paused', { retry: 2 }, async () => {
    // Each answer is on its way for 50 ms, so there are commands without an answer at every moment.
    const redis = await startFakeRedis(50);
    const gateway = await startLimited(redis.url, { whenRedisFails: 'reject' });
    await counts(gateway);
    const agent = new http.Agent({ keepAlive: true });
    let running = true;
    let sent = 0;
    const answers: Answer[] = [];
    const callers = Array.from({ length: 20 }, async () => {
      while (running) {
        sent++;
        answers.push(await ask(gateway, '203.0.113.2', { agent }));
      }
    });
    await until(() => answers.length > 100, 'the load runs');
    // The pause begins while the gateway handles these. In an idle process the sockets would be read before timers run.
    const busy = await Promise.all(Array.from({ length: 100 }, () => connect(gateway)));
    const firstAnswer = Promise.race(busy.map(({ socket }) => once(socket, 'data')));
    for (const { socket } of busy) socket.write('GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20));
    await firstAnswer;
    process.kill(gateway.pid, 'SIGSTOP');
    await sleep(1_500); // the length of the pause
    process.kill(gateway.pid, 'SIGCONT');
    const before = answers.length;
    await until(() => answers.length > before + 100, 'the load runs again');
    running = false;
    await Promise.all(callers);
    agent.destroy();
    for (const { socket } of busy) socket.destroy();
    expect(answers.filter((answer) => !isCounted(answer)).length, 'requests without a count').toBe(0);
    expect(redis.counted('gateway:{address:203.0.113.2}')).toBe(sent);
    expect(outageLines(gateway)).toEqual([]);
    await gateway.stop();
  });
});
