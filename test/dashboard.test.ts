import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { drawFrame, type Paint } from '../shared/dashboard/frame.ts';
import type { Scrape } from '../shared/dashboard/scrape.ts';
import { increases, ScrapeWindow } from '../shared/dashboard/scrape-window.ts';
import { type Summary, summarise } from '../shared/dashboard/summary.ts';
import { parseSamples } from '../shared/metrics/prometheus-text.ts';
import { histogramQuantile } from '../shared/metrics/statistics.ts';
import { freePort } from '../shared/process/ports.ts';
import { root } from '../shared/repository/phases.ts';

const plain: Paint = { bold: (text) => text, red: (text) => text, green: (text) => text };
const marked: Paint = {
  bold: (text) => `*${text}*`,
  red: (text) => `<${text}>`,
  green: (text) => `(${text})`,
};
const url = 'http://127.0.0.1:9464/metrics';

/** A scrape of a gateway that has answered `orders` times on its only route, one in ten of them with 502. */
function scrapeOf(atMs: number, orders: number, startedAt = 1000): Scrape {
  return { atMs, atUnixSeconds: startedAt + 65, samples: parseSamples(expositionOf(orders, startedAt)) };
}

function expositionOf(orders: number, startedAt = 1000): string {
  const bad = orders / 10;
  return `# HELP gateway_http_requests_total Requests.
# TYPE gateway_http_requests_total counter
gateway_http_requests_total{route="/api/orders",service="orders",method="GET",status="200",client="mobile-app",source="upstream"} ${orders - bad}
gateway_http_requests_total{route="/api/orders",service="orders",method="GET",status="502",client="anonymous",source="gateway"} ${bad}
gateway_http_requests_total{route="none",service="none",method="OTHER",status="404",client="anonymous",source="gateway"} 3
gateway_http_request_duration_seconds_bucket{le="0.01",route="/api/orders",method="GET",status_class="2xx"} ${orders / 2}
gateway_http_request_duration_seconds_bucket{le="0.1",route="/api/orders",method="GET",status_class="2xx"} ${orders - bad}
gateway_http_request_duration_seconds_bucket{le="+Inf",route="/api/orders",method="GET",status_class="2xx"} ${orders - bad}
gateway_http_request_duration_seconds_bucket{le="0.01",route="/api/orders",method="GET",status_class="5xx"} 0
gateway_http_request_duration_seconds_bucket{le="0.1",route="/api/orders",method="GET",status_class="5xx"} 0
gateway_http_request_duration_seconds_bucket{le="+Inf",route="/api/orders",method="GET",status_class="5xx"} ${bad}
gateway_refusals_total{stage="forward",reason="upstream-unreachable",client="anonymous"} ${bad}
gateway_refusals_total{stage="route",reason="no-route",client="anonymous"} 3
gateway_circuit_open{service="orders"} 1
gateway_circuit_open{service="inventory"} 0
gateway_circuit_openings_total{service="orders"} 2
gateway_circuit_openings_total{service="inventory"} 0
gateway_circuit_rejections_total{service="orders"} 17
gateway_circuit_rejections_total{service="inventory"} 0
gateway_requests_in_flight 4
gateway_redis_up 1
gateway_build_info{version="1.0.0",phase="5-observability",node="v20.20.2"} 1
process_start_time_seconds ${startedAt}
process_resident_memory_bytes 94371840
nodejs_eventloop_lag_p99_seconds 0.0123
`;
}

describe('a quantile', () => {
  const buckets = [
    { upperBound: 0.1, count: 50 },
    { upperBound: 0.5, count: 90 },
    { upperBound: 1, count: 100 },
    { upperBound: Number.POSITIVE_INFINITY, count: 100 },
  ];

  // The numbers are those of histogram_quantile() for the same buckets.
  test.each([
    [0.5, 0.1],
    [0.7, 0.3],
    [0.9, 0.5],
    [0.99, 0.95],
    [0, 0],
    [1, 1],
  ])('%f is %f', (q, value) => {
    expect(histogramQuantile(buckets, q)).toBeCloseTo(value, 9);
    expect(histogramQuantile(buckets.toReversed(), q)).toBeCloseTo(value, 9);
  });

  test('beyond the last finite bound is that bound', () => {
    const slow = [...buckets.slice(0, 3), { upperBound: Number.POSITIVE_INFINITY, count: 1000 }];
    expect(histogramQuantile(slow, 0.99)).toBe(1);
  });

  test.each([[[]], [buckets.map((bucket) => ({ ...bucket, count: 0 }))]])('of nothing is unknown', (none) => {
    expect(histogramQuantile(none, 0.99)).toBe(null);
  });
});

describe('what happened between two scrapes', () => {
  const at = (atMs: number, text: string, startedAt = 1): Scrape => ({
    atMs,
    atUnixSeconds: atMs / 1000,
    samples: parseSamples(`${text}\nprocess_start_time_seconds ${startedAt}`),
  });

  test('is the difference of each series, whatever the order of its labels; a new one began at 0', () => {
    const changes = increases(at(0, 'a{x="1",y="2"} 5'), at(1000, 'a{y="2",x="1"} 7\na{x="2",y="2"} 3'));
    expect(changes.slice(0, 2).map(({ value }) => value)).toEqual([2, 3]);
  });

  test('is looked at over a span of time', () => {
    const window = new ScrapeWindow(3000);
    expect(window.oldest).toBe(undefined);
    for (let second = 0; second <= 10; second++) window.push(at(second * 1000, 'a 1'));
    expect([window.oldest?.atMs, window.newest?.atMs]).toEqual([7000, 10_000]);
  });

  test('always has two scrapes to compare, however slowly they come', () => {
    const window = new ScrapeWindow(3000);
    for (const atMs of [0, 60_000, 120_000]) window.push(at(atMs, 'a 1'));
    expect([window.oldest?.atMs, window.newest?.atMs]).toEqual([60_000, 120_000]);
  });

  test('begins anew when the gateway was started anew', () => {
    const window = new ScrapeWindow(3000);
    window.push(at(0, 'a 100'));
    window.push(at(1000, 'a 2', 2));
    expect([window.oldest?.atMs, window.newest?.atMs]).toEqual([1000, 1000]);
  });
});

describe('the summary', () => {
  const summary = summarise(scrapeOf(0, 100), scrapeOf(10_000, 300));

  test('has rates and quantiles of the time between, and totals of all time', () => {
    expect(summary).toMatchObject({ seconds: 10, perSecond: 20, inFlight: 4, redisUp: true, upSeconds: 65 });
    expect(summary.routes).toEqual([
      {
        route: '/api/orders',
        perSecond: 20,
        p50Seconds: 0.01,
        // 20 of the 200 took longer than the last finite bound, so that bound is the result.
        p99Seconds: 0.1,
        errorsPerSecond: 2,
        total: 300,
      },
      { route: 'none', perSecond: 0, p50Seconds: null, p99Seconds: null, errorsPerSecond: 0, total: 3 },
    ]);
    expect(summary.refusals).toEqual([
      { stage: 'forward', reason: 'upstream-unreachable', perSecond: 2, total: 30 },
      { stage: 'route', reason: 'no-route', perSecond: 0, total: 3 },
    ]);
    expect(summary.circuits).toEqual([
      { service: 'inventory', open: false, openings: 0, rejections: 0 },
      { service: 'orders', open: true, openings: 2, rejections: 17 },
    ]);
    expect(summary.clients).toEqual([
      { client: 'mobile-app', perSecond: 18, refusedPerSecond: 0, total: 270 },
      { client: 'anonymous', perSecond: 2, refusedPerSecond: 2, total: 33 },
    ]);
  });

  test('of a single scrape knows no rates', () => {
    const only = scrapeOf(0, 100);
    const { perSecond, seconds, routes } = summarise(only, only);
    expect({ perSecond, seconds, rate: routes[0]?.perSecond }).toEqual({
      perSecond: null,
      seconds: null,
      rate: null,
    });
  });

  test('does without what a gateway does not say', () => {
    const samples = parseSamples('gateway_build_info{phase="5-observability"} 1');
    const bare: Scrape = { atMs: 0, atUnixSeconds: 0, samples };
    expect(summarise(bare, bare)).toMatchObject({
      redisUp: null,
      inFlight: null,
      upSeconds: null,
      routes: [],
    });
  });
});

describe('the frame', () => {
  const summary = summarise(scrapeOf(0, 100), scrapeOf(10_000, 300));
  const roomy = { columns: 100, rows: 50 };

  test('shows all of it', () => {
    expect(drawFrame(url, summary, roomy, plain)).toBe(
      `5-observability  version 1.0.0  Node v20.20.2  http://127.0.0.1:9464/metrics
up 1m 5s  20.0 req/s  in flight 4  event loop lag 12.3 ms  memory 90 MiB  Redis up
Rates and times over 10 s.

ROUTE        req/s      p50     p99  5xx/s  total
/api/orders   20.0  10.0 ms  100 ms    2.0    300
none           0.0        -       -    0.0      3

CIRCUIT    state   openings  rejected
inventory  closed         0         0
orders     open           2        17

REFUSED BY  reason                req/s  total
forward     upstream-unreachable    2.0     30
route       no-route                0.0      3

TOP CLIENTS  req/s  refused/s  total
mobile-app    18.0        0.0    270
anonymous      2.0        2.0     33`,
    );
  });

  test('marks what is wrong and what is well', () => {
    const frame = drawFrame(url, { ...summary, redisUp: false }, roomy, marked);
    expect(frame).toContain('*5-observability*');
    expect(frame).toContain('<Redis lost>');
    expect(frame).toMatch(/^inventory\( {2}closed\)/m);
    expect(frame).toMatch(/^orders {3}< {2}open {2}>/m);
    expect(frame).toMatch(/^\/api\/orders.*< +2\.0>/m);
  });

  test('has a word for what is not there yet', () => {
    const samples = parseSamples('gateway_build_info{phase="5-observability"} 1');
    const bare: Scrape = { atMs: 0, atUnixSeconds: 0, samples };
    const frame = drawFrame(url, summarise(bare, bare), roomy, plain);
    for (const words of ['no request yet', 'nothing yet', 'no client yet', 'no service', 'measuring']) {
      expect(frame).toContain(words);
    }
  });

  test('says so when the gateway is lost, and keeps what was seen last', () => {
    const frame = drawFrame(url, summary, roomy, marked, 'Lost since 12:00:00.');
    expect(frame.split('\n')[2]).toBe('<Lost since 12:00:00.>');
    expect(frame).toContain('/api/orders');
  });

  const crowded: Summary = {
    ...summary,
    clients: Array.from({ length: 200 }, (_, i) => ({
      client: `client-${i}`,
      perSecond: 1,
      refusedPerSecond: 0,
      total: 1,
    })),
  };

  test.each([
    [80, 24],
    [40, 20],
    [200, 60],
    [10, 5],
    [1, 1],
  ])('fits into %i columns and %i rows', (columns, rows) => {
    const lines = drawFrame(url, crowded, { columns, rows }, plain).split('\n');
    expect(lines.length).toBeLessThanOrEqual(rows);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
  });

  test('gives a short list what it needs and the rest to the long one, and says how much is left out', () => {
    const lines = drawFrame(url, crowded, { columns: 80, rows: 24 }, plain).split('\n');
    expect(lines).toHaveLength(24);
    expect(lines.at(-1)).toBe('… and 194 more');
    expect(lines.join('\n')).toMatch(/no-route.*client-5 /s);
  });

  test('lets no control character of a server through to the terminal', () => {
    const evil = { ...summary, phase: '\u001b[2J\u0007phase' };
    expect(drawFrame(url, evil, roomy, plain)).toMatch(/^\?\[2J\?phase/);
  });
});

const servers: http.Server[] = [];
afterAll(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

/** An admin listener whose counters grow by ten requests with each scrape. */
async function serve(body = (n: number) => expositionOf(100 + 10 * n), port = 0): Promise<http.Server> {
  let looks = 0;
  const server = http.createServer((request, response) => {
    if (request.url !== '/metrics') response.writeHead(404);
    response.end(request.url === '/metrics' ? body(looks++) : '');
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return server;
}

const portOf = (server: http.Server) => (server.address() as AddressInfo).port;
const command = ['--import', 'tsx', 'shared/cli/dashboard.ts'];
const env = { ...process.env, FORCE_COLOR: undefined, NO_COLOR: undefined, CI: undefined };

describe.concurrent('npm run dashboard', () => {
  function run(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      execFile(process.execPath, [...command, ...words], { cwd: root, env }, (error, stdout, stderr) => {
        resolve({ code: Number(error?.code ?? 0), stdout, stderr });
      });
    });
  }

  test.for([
    { words: ['--once'], of: 'with --once' },
    { words: [], of: 'in a pipe' },
  ])('prints one frame and ends, $of', async ({ words }, { expect }) => {
    const server = await serve();
    const { code, stdout, stderr } = await run(`http://127.0.0.1:${portOf(server)}`, ...words);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^5-observability {2}version 1\.0\.0/);
    expect(stdout).toContain('Rates and times over 1 s.');
    // Ten requests between two scrapes, which are one second or slightly more apart.
    expect(Number(/ ([\d.]+) req\/s/.exec(stdout)?.[1])).toBeGreaterThan(5);
    expect(stdout).toMatch(/^\/api\/orders +\d/m);
    expect(stdout).not.toContain('\u001b');
  });

  test('says how to start a gateway when there is none', async ({ expect }) => {
    const port = await freePort();
    const { code, stdout, stderr } = await run(`http://127.0.0.1:${port}/metrics`);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^No gateway at http:\S+\/metrics: nothing listens there\.\n.*\n +npm start /);
    expect(stderr).not.toMatch(/\n +at /);
  });

  test('says so when something else answers', async ({ expect }) => {
    const server = await serve(() => 'up 1\n');
    const at = `http://127.0.0.1:${portOf(server)}`;
    expect((await run(at)).stderr).toMatch(/has no metrics of a gateway.*admin listener/);
    expect((await run(`${at}/health`)).stderr).toMatch(/answers 404\. The metrics are on the admin listener/);
  });

  test.for([
    { words: ['9464'], message: '"9464" is not a URL such as http://127.0.0.1:9464/metrics.' },
    { words: ['http://a', 'http://b'], message: 'One URL at most, not 2.' },
    { words: ['--twice'], message: "Unknown option '--twice'" },
  ])('refuses $words', async ({ words, message }, { expect }) => {
    const { code, stderr } = await run(...words);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/\n +at /);
  });
});

// `script` runs a program in a terminal of its own. Its options differ between systems.
const hasTerminal =
  process.platform === 'linux' && spawnSync('script', ['--version'], { stdio: 'ignore' }).status === 0;

describe.skipIf(!hasTerminal)('npm run dashboard on a terminal', () => {
  function follow(port: number) {
    const line = [process.execPath, ...command, `http://127.0.0.1:${port}/metrics`].join(' ');
    const child = spawn(
      'script',
      ['--quiet', '--return', '--command', `stty rows 30 columns 100; exec ${line}`, '/dev/null'],
      {
        cwd: root,
        env: { ...env, TERM: 'xterm-256color' },
      },
    );
    let seen = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      seen += text;
    });
    const ended = once(child, 'close').then(([code]) => code);
    return { child, ended, seen: () => seen, text: () => stripVTControlCharacters(seen) };
  }

  const hideCursor = '\u001b[?25l';
  const showCursor = '\u001b[?25h';

  test('draws again each second, waits for a gateway that went, and gives the terminal back', async () => {
    const server = await serve();
    const port = portOf(server);
    const { child, ended, seen, text } = follow(port);
    const patience = { timeout: 20_000 };
    try {
      await expect.poll(text, patience).toContain('Rates and times measuring.');
      expect(seen()).toContain(hideCursor);
      expect(seen()).toContain('\u001b[1m');
      await expect.poll(text, patience).toMatch(/Rates and times over [2-9] s\./);
      server.close();
      server.closeAllConnections();
      await expect.poll(text, patience).toMatch(/Lost since \d\d:\d\d:\d\d: nothing listens there/);
      const before = seen().length;
      await serve(undefined, port);
      await expect
        .poll(() => stripVTControlCharacters(seen().slice(before)), patience)
        .toMatch(/Rates and times over \d s\./);
      expect(seen()).not.toContain(showCursor);
      // Ctrl-C, as the terminal sends it.
      child.stdin.write('\u0003');
      expect(await ended).toBe(0);
      expect(seen().lastIndexOf(showCursor)).toBeGreaterThan(seen().lastIndexOf(hideCursor));
    } finally {
      child.kill('SIGKILL');
    }
  });
});
