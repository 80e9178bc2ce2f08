import { type ChildProcess, exec, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listPhaseFolders, listPhases } from '../shared/repository/phases.ts';
import { prettifyLine } from '../shared/run/log.ts';
import { arePresent } from './support/program.ts';

const root = join(import.meta.dirname, '..');
const onWindows = process.platform === 'win32';
const anyPorts = ['--port', '0', '--inventory-port', '0', '--orders-port', '0'];
const patience = { timeout: 25_000, interval: 25 };

let folder: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'run-command-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  rmSync(folder, { recursive: true, force: true });
});

/** `npm run phase:N -- …` without npm; its temporary files go to `folder`. */
function run(args: string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'shared/cli/phase.ts', ...args], {
    cwd: root,
    env: {
      ...process.env,
      REDIS_URL: '',
      LOG_LEVEL: 'info',
      TMPDIR: folder,
      TEMP: folder,
      INIT_CWD: folder,
      NO_COLOR: '1',
      ...env,
    },
  });
  children.push(child);
  const seen = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    seen.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    seen.stderr += chunk;
  });
  const ended = once(child, 'close').then(([code]) => code);
  return { child, seen, ended };
}

/** Starts the command and waits until it is ready. */
async function start(args: string[], env: NodeJS.ProcessEnv = {}) {
  const running = run(
    [...args, ...anyPorts.filter((_, n) => !args.includes(anyPorts[n - (n % 2)] ?? ''))],
    env,
  );
  let over = false;
  void running.ended.then(() => {
    over = true;
  });
  const said = () => running.seen.stdout + running.seen.stderr;
  await expect.poll(() => over || said().includes('Ctrl-C stops everything.'), patience).toBe(true);
  if (over) throw new Error(`The command ended early:\n${said()}`);
  const urls = (name: string) =>
    new RegExp(`${name} +((?:http\\S+ *)+)`).exec(said())?.[1]?.trim().split(/ +/) ?? [];
  const gateways = urls('gateway');
  return {
    ...running,
    said,
    gateways,
    url: gateways[0] ?? '',
    inventory: urls('inventory')[0] ?? '',
    orders: urls('orders')[0] ?? '',
    admin: urls('admin')[0] ?? '',
  };
}

const answers = (url: string) =>
  fetch(url).then(
    () => true,
    () => false,
  );

test('the log has words for what is not even a request', () => {
  const line = { level: 30, method: null, path: null, status: 400, durationMs: 0, refusedBy: 'parse' };
  expect(prettifyLine(JSON.stringify({ ...line, msg: 'request' }))).toContain(
    'An unreadable request 400 in 0.0 ms (refused by parse)',
  );
});

describe('npm run phase:N', () => {
  test.each(listPhaseFolders())(
    '$name: greets with three calls that lead somewhere',
    async ({ number, name }) => {
      const { child, ended, said, url, inventory, orders, admin } = await start([String(number)]);
      expect(said()).toContain(`Phase ${name} is ready.`);
      const calls = said().match(/^ {2}curl .*$/gm) ?? [];
      expect(calls).toHaveLength(3);
      for (const call of calls) {
        const target = /https?:[^"\s]+/.exec(call)?.[0].replace(/\[.*\]/, '1') ?? '';
        expect([url, orders, admin]).toContain(new URL(target).origin);
        expect(await answers(target)).toBe(true);
      }
      expect(said().includes('demo-mobile-app-key')).toBe(number >= 2);
      expect(said().includes('Redis     embedded')).toBe(number >= 3);
      child.kill('SIGTERM');
      await ended;
      await expect
        .poll(() => Promise.all([url, inventory, orders].map(answers)), patience)
        .toEqual([false, false, false]);
    },
  );

  test('starts on a port that fetch and browsers refuse', async () => {
    const refused = [6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697];
    const free = await Promise.all(refused.map(isFree));
    const { said, url } = await start(['1', '--port', String(refused[free.indexOf(true)])]);
    expect(url).toMatch(/:6\d{3}$/);
    expect(said()).toContain('Phase 1-routing is ready.');
  });

  test.skipIf(!arePresent('curl'))(
    'without a number: the newest phase, with calls that really get 200, 401, 429 and 503',
    async () => {
      const { said, admin } = await start([]);
      expect(said()).toContain(`Phase ${listPhases().at(-1)?.name} is ready.`);
      expect(said()).toMatch(/# 200.*# 401.*# 429.*# 503/s);
      const calls = said().match(/^ {2}curl .*$/gm) ?? [];
      const statuses: string[] = [];
      for (const call of calls) {
        const { stdout } = await promisify(exec)(call);
        if (!call.includes('_faults'))
          statuses.push((stdout.match(/(?<=^HTTP\/1\.1 |^)\d{3}/gm) ?? []).join(' '));
      }
      expect(statuses).toEqual(['200', '401', '200 200 200 200 200 429 429', '500 500 500 503']);
      expect(calls.at(-1)).toMatch(/-X DELETE .*\/_faults$/);
      expect(said()).toContain(`  npm run dashboard -- ${admin}/metrics\n`);
    },
  );

  test('routes to the services where they are, and shows requests in a line for people', async () => {
    const { seen, url, orders } = await start(['1']);
    const answer = await fetch(`${url}/api/orders/echo?secret=1`);
    expect(await answer.json()).toMatchObject({ service: 'orders', headers: { host: new URL(orders).host } });
    await expect
      .poll(() => seen.stdout, patience)
      .toMatch(/INFO: GET \/api\/orders\/echo 200 in [\d.]+ ms \(orders\)\n/);
  });

  test('--json: nothing but JSON lines on stdout, the rest on stderr', async () => {
    const { child, seen, ended, url } = await start(['1', '--json']);
    await fetch(`${url}/api/inventory`);
    await expect.poll(() => seen.stdout, patience).toContain('"msg":"request"');
    child.kill('SIGTERM');
    await ended;
    const lines = seen.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toContainEqual(expect.objectContaining({ msg: 'listening', url }));
    expect(seen.stderr).toContain('Phase 1-routing is ready.');
  });

  test('--port and --instances: that many gateways on consecutive ports', async () => {
    const port = await freePair();
    const { seen, gateways } = await start(['1', '--port', String(port), '--instances', '2']);
    expect(gateways).toEqual([`http://127.0.0.1:${port}`, `http://127.0.0.1:${port + 1}`]);
    for (const url of gateways) expect((await fetch(`${url}/api/inventory`)).status).toBe(200);
    for (const instance of [port, port + 1]) {
      const line = new RegExp(`^${instance} .*GET /api/inventory 200`, 'm');
      await expect.poll(() => seen.stdout, patience).toMatch(line);
    }
  });

  test('--instances from phase 3 on: says how to get a Redis', async () => {
    const { seen, ended } = run(['3', '--instances', '2', ...anyPorts]);
    expect(await ended).toBe(1);
    expect(seen.stderr).toMatch(/docker compose up -d redis.*apt install.*brew install.*REDIS_URL=redis:/s);
    const withRedis = await start(['3', '--instances', '2'], { REDIS_URL: 'redis://:secret@127.0.0.1:1' });
    expect(withRedis.gateways).toHaveLength(2);
    expect(withRedis.said()).toContain('Redis     127.0.0.1:1\n');
    expect(withRedis.said()).not.toContain('secret');
  });

  test('--no-services: the gateway alone', async () => {
    const { said, url } = await start(['1', '--no-services', '--inventory-port', '1']);
    expect(said()).not.toContain('services');
    expect((await fetch(`${url}/api/inventory`)).status).toBe(502);
  });

  test("--config: the user's file, from where the user stands, and no promise about its routes", async () => {
    const config = JSON.parse(readFileSync(join(root, 'phases/1-routing/gateway.json'), 'utf8'));
    config.routes = [{ prefix: '/mine', service: 'inventory' }];
    writeFileSync(join(folder, 'mine.json'), JSON.stringify(config));
    const { said, url } = await start(['1', '--config', 'mine.json']);
    expect((await fetch(`${url}/mine/warehouses`)).status).toBe(200);
    expect(said()).toContain(join(folder, 'mine.json'));
    expect(said()).not.toContain('/api/inventory');
  });

  test('--help prints every option', async () => {
    const { seen, ended } = run(['--help']);
    expect(await ended).toBe(0);
    for (const option of ['port', 'config', 'instances', 'no-services', 'json']) {
      expect(seen.stdout).toContain(`--${option}`);
    }
  });
});

describe('mistakes', () => {
  test.each([
    [['9'], /no phase "9".*1-routing/s],
    [['1', '--prot', '1'], /Unknown option '--prot'.*--port NUMBER/s],
    [['1', '3100'], /Did not expect "3100"\. Options of an npm script go after "--"/],
    [['1', '--port', 'x'], /--port takes a whole number from 0 to 65535, not "x"/],
    [['1', '--port'], /--port <value>' argument missing/],
    [['1', '--instances', '0'], /--instances takes a whole number from 1 to/],
    [['1', '--port', '65535', '--instances', '2'], /past 65535/],
    [['1', '--config', 'nowhere.json'], /There is no file .*nowhere\.json/],
  ])('%j is refused with what is allowed', async (args, message) => {
    const { seen, ended } = run(args);
    expect(await ended).toBe(1);
    expect(seen.stderr).toMatch(message);
    expect(seen.stderr).not.toMatch(/\n +at /);
    expect(seen.stdout).toBe('');
  });

  test.each([
    ['--port', /Port PORT on 127\.0\.0\.1 is already in use; the gateway needs it\.\n.*--port NUMBER/],
    [
      '--admin-port',
      /Port PORT on 127\.0\.0\.1 is already in use; the admin listener needs it\.\n.*--admin-port NUMBER/,
    ],
    ['--inventory-port', /Port PORT .*"inventory" needs it\.\n.*--inventory-port NUMBER/],
    ['--orders-port', /Port PORT .*"orders" needs it\.\n.*--orders-port NUMBER/],
  ])('a busy port is explained: %s', async (option, message) => {
    const blocker = net.createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    const { port } = blocker.address() as net.AddressInfo;
    const { seen, ended } = run(['5', ...anyPorts, option, String(port)]);
    expect(await ended).toBe(1);
    expect(seen.stderr.replaceAll(String(port), 'PORT')).toMatch(message);
    expect(seen.stderr).not.toMatch(/\n +at /);
    blocker.close();
  });

  test('a config that the gateway refuses: its words, its exit code, and everything else ends', async () => {
    writeFileSync(join(folder, 'bad.json'), '{ "services": {}, "routes": 7 }');
    const { seen, ended } = run(['1', '--config', 'bad.json', ...anyPorts]);
    expect(await ended).toBe(1);
    expect(seen.stderr).toMatch(/routes: /);
    expect(seen.stderr).toMatch(
      /The gateway on http:\S+ ended with exit code 1; everything else stops too\./,
    );
  });
});

describe('the end', () => {
  /** An environment in which every gateway writes a file with its pid, and exits with 7 when the file `die` appears. */
  const watched = () => {
    const code = `
      import { existsSync, writeFileSync } from 'node:fs';
      const folder = ${JSON.stringify(folder)};
      if (process.argv[1].endsWith('server.ts')) {
        writeFileSync(folder + '/' + process.pid + '.pid', '');
        setInterval(() => {
          if (!existsSync(folder + '/die')) return;
          console.error('last words');
          process.exit(7);
        }, 20).unref();
      }`;
    writeFileSync(join(folder, 'watched.mjs'), code);
    return { NODE_OPTIONS: `--import=${pathToFileURL(join(folder, 'watched.mjs')).href}` };
  };

  /** The process ids of the gateways that were started. */
  const pids = () =>
    readdirSync(folder).flatMap((name) => (name.endsWith('.pid') ? [Number.parseInt(name, 10)] : []));
  const alive = (pid: number) => {
    try {
      process.kill(pid, 0);
      // In a container, an orphan that has ended may stay as a zombie, because no process collects it.
      return process.platform !== 'linux' || !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
    } catch {
      return false;
    }
  };

  test('a gateway that dies ends everything, with its exit code and its last words', async () => {
    const { seen, ended, url, orders } = await start(['1', '--instances', '2'], watched());
    writeFileSync(join(folder, 'die'), '');
    expect(await ended).toBe(7);
    expect(seen.stderr).toContain('last words');
    expect(seen.stderr).toMatch(/The gateway on http:\S+ ended with exit code 7/);
    expect([await answers(url), await answers(orders)]).toEqual([false, false]);
  });

  test('phase 0 says what killed it and is started again, as often as it crashes', async () => {
    const { child, seen, ended, url, orders } = await start(['0']);
    for (const crashes of [1, 2]) {
      await fetch(`${orders}/_faults`, { method: 'PUT', body: '{"fault":"trailer","times":1}' });
      const socket = net.connect(Number(new URL(url).port), '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write('GET /api/orders/1 HTTP/1.0\r\n\r\n');
      socket.resume();
      await once(socket, 'close');
      await expect
        .poll(
          () =>
            seen.stderr.match(/ended with exit code 1:\n\n {2}Error \[ERR_HTTP_TRAILER_INVALID\]: .+\n/g) ??
            [],
          patience,
        )
        .toHaveLength(crashes);
      await expect.poll(() => answers(url), patience).toBe(true);
      expect((await fetch(`${url}/api/orders/1`)).status).toBe(200);
    }
    expect(seen.stderr.match(/It is being started again\./g)).toHaveLength(2);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(await answers(url)).toBe(false);
  });

  test('phase 0 is not started again when it cannot start', async () => {
    writeFileSync(join(folder, 'bad.json'), '{ "services": {}, "routes": 7 }');
    const { seen, ended } = run(['0', '--config', 'bad.json', ...anyPorts]);
    expect(await ended).toBe(1);
    expect(seen.stderr).toMatch(/everything else stops too\./);
    expect(seen.stderr).not.toContain('started again');
  });

  test.skipIf(onWindows)('phase 0 cuts off the request in flight, as its README says', async () => {
    const { child, seen, ended, url, inventory } = await start(['0']);
    await fetch(`${inventory}/_faults`, { method: 'PUT', body: '{"fault":"slow","ms":5000}' });
    const slow = fetch(`${url}/api/inventory`).catch(() => 'cut off');
    await expect
      .poll(async () => (await (await fetch(`${inventory}/_faults`)).json()) as object, patience)
      .toMatchObject({ requests: 1 });
    child.kill('SIGINT');
    expect(await slow).toBe('cut off');
    expect(await ended).toBe(0);
    expect(seen.stdout).toContain('Phase 0 ends at once, and cuts off the requests in flight.');
    expect(seen.stdout).not.toContain('can finish');
  });

  test.skipIf(onWindows).each(['SIGINT', 'SIGHUP'] as const)(
    '%s: requests in flight finish, then nothing is left',
    async (signal) => {
      const { child, seen, ended, gateways, inventory, orders } = await start(
        ['1', '--instances', '2'],
        watched(),
      );
      await fetch(`${inventory}/_faults`, { method: 'PUT', body: '{"fault":"slow","ms":400}' });
      const slow = gateways.map((url) => fetch(`${url}/api/inventory`));
      await expect
        .poll(async () => (await (await fetch(`${inventory}/_faults`)).json()) as object, patience)
        .toMatchObject({ requests: 2 });
      child.kill(signal);
      for (const answer of await Promise.all(slow)) expect(answer.status).toBe(200);
      expect(await ended).toBe(0);
      expect(pids().map(alive)).toEqual([false, false]);
      expect(seen.stdout.match(/INFO: stopping/g)).toHaveLength(2);
      expect(await Promise.all([...gateways, inventory, orders].map(answers))).toEqual([
        false,
        false,
        false,
        false,
      ]);
      expect(readdirSync(folder).filter((name) => name.startsWith('phased-gateway'))).toEqual([]);
    },
  );

  test.skipIf(onWindows)('a second Ctrl-C kills what still works', async () => {
    const { child, ended, url, inventory } = await start(['1']);
    await fetch(`${inventory}/_faults`, { method: 'PUT', body: '{"fault":"hang"}' });
    const hanging = fetch(`${url}/api/inventory`).catch(() => 'broken');
    await expect
      .poll(async () => (await (await fetch(`${inventory}/_faults`)).json()) as object, patience)
      .toMatchObject({ requests: 1 });
    const pressing = setInterval(() => child.kill('SIGINT'), 100);
    const code = await ended;
    clearInterval(pressing);
    expect(code).toBe(130);
    expect(await hanging).toBe('broken');
    await expect.poll(() => answers(url), patience).toBe(false);
  });

  test('a command that is killed leaves no gateway behind', async () => {
    const { child, ended } = await start(['1', '--instances', '2'], watched());
    child.kill('SIGKILL');
    await ended;
    expect(pids()).toHaveLength(2);
    await expect.poll(() => pids().map(alive), patience).toEqual([false, false]);
  });
});

/** A free port whose next port is free too, below the range that systems use for port 0. */
async function freePair(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 7000);
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = net.createServer().listen(port, '127.0.0.1');
  const free = await once(probe, 'listening').then(
    () => true,
    () => false,
  );
  if (free) await new Promise((closed) => probe.close(closed));
  return free;
}
