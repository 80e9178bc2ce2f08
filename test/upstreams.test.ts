import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DemoServices, startDemoServices } from '../shared/upstreams/demo-services.ts';

const root = join(import.meta.dirname, '..');
let services: DemoServices;

beforeEach(async () => {
  services = await startDemoServices({ inventory: 0, orders: 0 });
});
afterEach(() => services.close());

const inventory = (path: string, init?: RequestInit) => fetch(services.inventory.url + path, init);
const orders = (path: string, init?: RequestInit) => fetch(services.orders.url + path, init);
const post = (body: unknown): RequestInit => ({ method: 'POST', body: JSON.stringify(body) });
const setFault = (fault: object) => orders('/_faults', { method: 'PUT', body: JSON.stringify(fault) });
const statuses = async (count: number) => {
  const seen: number[] = [];
  for (let n = 0; n < count; n++) seen.push((await orders('/1')).status);
  return seen;
};
async function json<T = Record<string, unknown>>(answer: Response | Promise<Response>): Promise<T> {
  return (await (await answer).json()) as T;
}
/** The code of the error that a request to the orders service ends with. */
async function failure(path = '/1'): Promise<unknown> {
  const error = await orders(path).then(
    (answer) =>
      answer.text().then(
        () => undefined,
        (broken) => broken,
      ),
    (refused) => refused,
  );
  return error?.cause?.code ?? error;
}

describe('the resources', () => {
  test.each([
    ['inventory', '/', 3],
    ['inventory', '/warehouses', 2],
    ['orders', '/', 3],
    ['orders', '/customers', 2],
  ] as const)('%s lists %s', async (service, path, count) => {
    const answer = await fetch(services[service].url + path);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect((await json(answer)).items).toHaveLength(count);
  });

  test('answer one by its id, and 404 when there is none', async () => {
    expect(await json(inventory('/2?x=1'))).toMatchObject({ id: 2, sku: 'CHR-002' });
    expect(await json(orders('/customers/1'))).toMatchObject({ id: 1, name: 'Ada Byron' });
    expect((await inventory('/99')).status).toBe(404);
    expect((await inventory('/nothing/here')).status).toBe(404);
  });

  test('take a new row and keep it', async () => {
    const created = await inventory('/', post({ sku: 'RUG-004', name: 'Rug', priceCents: 900, inStock: 1 }));
    expect(created.status).toBe(201);
    expect(await json(created)).toMatchObject({ id: 4, sku: 'RUG-004' });
    expect((await inventory('/4')).status).toBe(200);
    const order = await orders('/', post({ customerId: 1, lines: [{ sku: 'RUG-004', quantity: 2 }] }));
    expect(await json(order)).toMatchObject({ id: 4, status: 'open' });
  });

  test('name the fields that are wrong', async () => {
    const answer = await orders('/', post({ customerId: 'x', lines: [{ sku: 'A', quantity: 0 }], more: 1 }));
    expect(answer.status).toBe(422);
    const { fields } = await json<{ fields: Array<{ field: string }> }>(answer);
    expect(fields.map(({ field }) => field)).toEqual(['customerId', 'lines.0.quantity', '']);
    expect((await orders('/', { method: 'POST', body: '{' })).status).toBe(400);
    expect((await orders('/', { method: 'POST', body: 'x'.repeat(70_000) })).status).toBe(413);
  });

  test('answer HEAD without a body, and 405 with Allow', async () => {
    const head = await inventory('/', { method: 'HEAD' });
    expect(Number(head.headers.get('content-length'))).toBeGreaterThan(100);
    expect(await head.text()).toBe('');
    const refused = await inventory('/warehouses', post({}));
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });
});

test('/echo shows what arrived', async () => {
  const answer = await orders('/echo/a%2Fb?x=1&x=2', {
    method: 'PATCH',
    headers: { 'X-Hint': 'yes' },
    body: 'twelve bytes',
  });
  const seen = await json<{ headers: object }>(answer);
  expect(seen).toMatchObject({
    service: 'orders',
    method: 'PATCH',
    target: '/echo/a%2Fb?x=1&x=2',
    bodyBytes: 12,
  });
  expect(seen.headers).toMatchObject({ 'x-hint': 'yes' });
});

test('/events ticks until the client leaves', async () => {
  const abort = new AbortController();
  const answer = await inventory('/events', { signal: abort.signal });
  expect(answer.headers.get('content-type')).toBe('text/event-stream');
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let seen = '';
  while (!seen.includes('id: 2\n')) seen += (await reader?.read())?.value;
  expect(seen).toMatch(/^id: 1\nevent: tick\ndata: \{"tick":1,"at":"[^"]+"\}\n\nid: 2\n/);
  abort.abort();
});

describe('faults', () => {
  test('are shown, set and cleared', async () => {
    expect(await json(orders('/_faults'))).toEqual({ fault: 'none' });
    expect(await json(setFault({ fault: 'status', status: 503 }))).toEqual({
      fault: 'status',
      status: 503,
      requests: 0,
    });
    expect((await orders('/')).status).toBe(503);
    expect(await json(orders('/_faults'))).toMatchObject({ requests: 1 });
    expect(await json(orders('/_faults', { method: 'DELETE' }))).toEqual({ fault: 'none' });
    expect((await orders('/')).status).toBe(200);
  });

  test('show how many requests hang, also when the fault is over, until their clients leave', async () => {
    await setFault({ fault: 'hang', times: 1 });
    const abort = new AbortController();
    const hanging = orders('/1', { signal: abort.signal }).catch(() => 'left');
    await expect.poll(() => json(orders('/_faults'))).toEqual({ fault: 'none', waiting: 1 });
    abort.abort();
    expect(await hanging).toBe('left');
    await expect.poll(() => json(orders('/_faults'))).toEqual({ fault: 'none' });
  });

  test('trailer announces a trailer field and sends it, but not in HTTP/1.0 and for HEAD', async () => {
    await setFault({ fault: 'trailer' });
    const answer = await new Promise<http.IncomingMessage>((resolve) => {
      http.get(`${services.orders.url}/1`, { agent: false }, resolve);
    });
    expect(JSON.parse(await text(answer))).toMatchObject({ id: 1 });
    expect(answer.headers).toMatchObject({ trailer: 'x-checksum', 'transfer-encoding': 'chunked' });
    expect(answer.trailers['x-checksum']).toMatch(/^[\da-f]{64}$/);
    expect((await orders('/1', { method: 'HEAD' })).headers.get('trailer')).toBeNull();
    const socket = net.connect(services.orders.port, '127.0.0.1');
    socket.end('GET /1 HTTP/1.0\r\n\r\n');
    expect(await text(socket)).not.toMatch(/trailer/i);
  });

  test('refuse closes the port, and opens it again by itself', async () => {
    expect((await setFault({ fault: 'refuse' })).status).toBe(400);
    expect((await setFault({ fault: 'refuse', forMs: 1_000 })).status).toBe(200);
    expect(await failure()).toBe('ECONNREFUSED');
    await expect.poll(() => failure(), { timeout: 10_000 }).toBeUndefined();
    expect(await json(orders('/_faults'))).toEqual({ fault: 'none' });
    await setFault({ fault: 'refuse', forMs: 60_000 });
  });

  test('touch one service only', async () => {
    await setFault({ fault: 'status', status: 500 });
    expect((await inventory('/')).status).toBe(200);
  });

  test('are set by form fields too, as curl -d sends them', async () => {
    const form = new URLSearchParams({ fault: 'status', status: '418', times: '1' });
    await orders('/_faults', { method: 'POST', body: form });
    expect(await statuses(2)).toEqual([418, 200]);
  });

  test('are out of reach through a proxy', async () => {
    expect((await orders('/_faults', { headers: { via: '1.1 gateway' } })).status).toBe(404);
  });

  test.each([
    ['{"fault":"sloow"}', /fault: .*Send one of: fault=slow/],
    ['{"fault":"slow"}', /ms: /],
    ['{"fault":"slow","ms":-1}', /ms: /],
    ['{"fault":"status","status":99}', /status: /],
    ['{"fault":"hang","tmies":1}', /tmies/],
    ['{"fault":', /not JSON/],
    ['fault=slow&ms=soon', /ms: /],
    ['', /fault: /],
  ])('answer 400 to %s', async (body, message) => {
    const answer = await orders('/_faults', { method: 'PUT', body });
    expect(answer.status).toBe(400);
    expect((await json(answer)).error).toMatch(message);
    expect((await orders('/1')).status).toBe(200);
  });

  test('status for the next requests, then well again', async () => {
    await setFault({ fault: 'status', status: 503, times: 2 });
    expect(await statuses(3)).toEqual([503, 503, 200]);
  });

  test('slow', async () => {
    await setFault({ fault: 'slow', ms: 300, times: 1 });
    const began = performance.now();
    expect((await orders('/1')).status).toBe(200);
    expect(performance.now() - began).toBeGreaterThan(290);
  });

  test('hang', async () => {
    await setFault({ fault: 'hang', times: 1 });
    await expect(orders('/1', { signal: AbortSignal.timeout(300) })).rejects.toThrow(/timeout/);
    expect((await orders('/1')).status).toBe(200);
  });

  test('reset', async () => {
    await setFault({ fault: 'reset', times: 1 });
    expect(await failure()).toBe('ECONNRESET');
    expect((await orders('/1')).status).toBe(200);
  });

  test('cut: the headers and half of the body, then a reset', async () => {
    const whole = await (await orders('/')).text();
    await setFault({ fault: 'cut', times: 1 });
    const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
      http.get(`${services.orders.url}/`, { agent: false }, resolve).on('error', reject);
    });
    expect(answer.statusCode).toBe(200);
    expect(Number(answer.headers['content-length'])).toBe(whole.length);
    let seen = '';
    answer.on('data', (chunk) => {
      seen += chunk;
    });
    const [error] = await once(answer, 'error');
    expect(error.code).toBe('ECONNRESET');
    expect(seen).toBe(whole.slice(0, whole.length / 2));
  });

  test('cut: an event stream after its first event', async () => {
    await setFault({ fault: 'cut' });
    expect(await failure('/events')).toBe('ECONNRESET');
  });

  test('offline drops open connections and new ones, but not those to /_faults', async () => {
    const stream = await orders('/events');
    const broken = stream.text().catch((error) => error.cause?.code);
    expect((await setFault({ fault: 'offline' })).status).toBe(200);
    expect(await broken).toBe('ECONNRESET');
    expect(await failure()).toBe('ECONNRESET');
    expect(await json(orders('/_faults'))).toMatchObject({ fault: 'offline' });
    await orders('/_faults', { method: 'DELETE' });
    expect((await orders('/1')).status).toBe(200);
  });

  test('offline for a while comes back by itself', async () => {
    await setFault({ fault: 'offline', forMs: 2_000 });
    expect(await failure()).toBe('ECONNRESET');
    await expect.poll(() => failure(), { timeout: 5000 }).toBe(undefined);
  });

  test('flapping: good and bad in turns', async () => {
    await setFault({ fault: 'flapping', every: 2, status: 500 });
    expect(await statuses(6)).toEqual([200, 200, 500, 500, 200, 200]);
  });
});

describe('npm run services', () => {
  function serve(...args: string[]) {
    const child = spawn(process.execPath, ['--import', 'tsx', 'shared/cli/services.ts', ...args], {
      cwd: root,
    });
    return { child, stdout: text(child.stdout), stderr: text(child.stderr), closed: once(child, 'close') };
  }

  test('prints where both listen, and curl lines that work', async () => {
    const { child, stdout, closed } = serve('--inventory-port', '0', '--orders-port', '0');
    let seen = '';
    child.stdout.on('data', (chunk) => {
      seen += chunk;
    });
    await expect.poll(() => seen, { timeout: 10_000 }).toContain('Ctrl-C stops both.');
    const url = /orders +listens on (\S+)/.exec(seen)?.[1];
    expect((await fetch(`${url}/`)).status).toBe(200);
    child.kill('SIGTERM');
    const [code] = await closed;
    if (process.platform !== 'win32') expect(code).toBe(0);
    expect(await stdout).toMatch(/_faults -d fault=status -d status=503 -d times=3/);
    await expect(fetch(`${url}/`)).rejects.toThrow();
  });

  test('--only NAME runs one of them alone, --host where it is told', async () => {
    const { child, stdout, closed } = serve('--only', 'orders', '--orders-port', '0', '--host', '0.0.0.0');
    let seen = '';
    child.stdout.on('data', (chunk) => {
      seen += chunk;
    });
    await expect.poll(() => seen, { timeout: 10_000 }).toContain('Ctrl-C stops it.');
    const port = /orders +listens on http:\/\/0\.0\.0\.0:(\d+)/.exec(seen)?.[1];
    expect((await json(fetch(`http://127.0.0.1:${port}/customers/1`))).name).toBe('Ada Byron');
    child.kill('SIGTERM');
    await closed;
    expect(await stdout).not.toContain('inventory');
  });

  test('explains a busy port', async () => {
    const blocker = net.createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    const { port } = blocker.address() as net.AddressInfo;
    const { stderr, closed } = serve('--inventory-port', '0', '--orders-port', String(port));
    expect(await closed).toEqual([1, null]);
    expect(await stderr).toMatch(new RegExp(`Port ${port} .*"orders" needs it.\\n.*--orders-port`));
    blocker.close();
  });

  test.each([
    [['--port', '1'], /Unknown option '--port'\.\n\n.*\n\n {2}npm run services/],
    [['--orders-port', 'x'], /--orders-port takes a whole number from 0 to 65535, not "x"/],
    [['4001'], /Did not expect "4001"/],
    [['--only', 'carts'], /--only takes inventory or orders, not "carts"/],
    [['--host', '192.0.2.1'], /This machine has no address 192\.0\.2\.1; choose another with --host/],
  ])('refuses %j', async (args, message) => {
    const { stderr, closed } = serve(...args);
    expect(await closed).toEqual([1, null]);
    expect(await stderr).toMatch(message);
    expect(await stderr).not.toMatch(/\n +at /);
  });
});
