import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { until } from '../shared/process/until.ts';
import { startProcess } from './support/processes.ts';

const traces = (...words: string[]) =>
  startProcess([process.execPath, '--import', 'tsx', 'shared/cli/traces.ts', ...words], { NO_COLOR: '1' });

/** A span of the trace 1…1, in ms. */
function span(id: string, parent: string, name: string, kind: number, [from, to]: [number, number]) {
  return {
    traceId: '1'.repeat(32),
    spanId: id.repeat(16),
    parentSpanId: parent.repeat(16),
    name,
    kind,
    startTimeUnixNano: `1800000000${String(from).padStart(3, '0')}000000`,
    endTimeUnixNano: `1800000000${String(to).padStart(3, '0')}000000`,
    attributes: [{ key: 'http.response.status_code', value: { intValue: 200 } }],
  };
}

test('prints the spans of a trace as a tree, whichever comes first', async () => {
  const { child, stdout, ended } = traces('--port', '0');
  await until(() => stdout().includes('curl'), 'the collector runs', 20_000);
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(stdout())?.[0];
  const send = async (...spans: unknown[]) => {
    const body = JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] });
    const headers = { 'content-type': 'application/json' };
    expect((await fetch(`${url}/v1/traces`, { method: 'POST', body, headers })).status).toBe(200);
  };
  await send(span('b', 'a', 'GET', 3, [25, 75]));
  await send(span('c', 'b', 'SELECT', 3, [50, 75]), span('a', 'f', 'GET /a', 2, [0, 100]));
  const line = (text: string, from: number, to: number, ms: string) =>
    `${text.padEnd(23)}  ${(' '.repeat(from) + '='.repeat(to - from)).padEnd(30)}  ${ms.padStart(5)} ms`;
  const tree = [
    `trace ${'1'.repeat(32)}: 3 spans, 100.0 ms`,
    line('  SERVER GET /a 200', 0, 30, '100.0'),
    line('    CLIENT GET 200', 8, 23, '50.0'),
    line('      CLIENT SELECT 200', 15, 23, '25.0'),
  ].join('\n');
  await expect.poll(stdout, { timeout: 5_000 }).toContain(tree);
  const nonsense = { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } };
  expect((await fetch(`${url}/v1/traces`, nonsense)).status).toBe(400);
  child.kill('SIGINT');
  await ended;
});

test('says what to do when its port is in use', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { output, ended } = traces('--port', String(port));
  expect(await ended).toBe(1);
  expect(output()).toBe(
    `The port ${port} is in use. Stop the program that uses it, or choose another one: npm run traces -- --port 0\n`,
  );
  server.close();
});

test.each([
  [['--demo', '--port', '1'], '--demo picks its ports itself.'],
  [['3'], 'npm run traces'],
])('refuses %j with what is allowed', async (words, message) => {
  const { output, ended } = traces(...words);
  expect(await ended).toBe(1);
  expect(output()).toContain(message);
  expect(output()).toContain('--help');
});
