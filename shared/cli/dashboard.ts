import { setTimeout as delay } from 'node:timers/promises';
import { createLogUpdate } from 'log-update';
import { drawFrame } from '../dashboard/frame.ts';
import { type Clock, type Scrape, scrape, Unreachable } from '../dashboard/scrape.ts';
import { ScrapeWindow } from '../dashboard/scrape-window.ts';
import { summarise } from '../dashboard/summary.ts';
import { readArguments } from '../terminal/arguments.ts';
import { CliError, runCommand } from '../terminal/cli-error.ts';
import { colour } from '../terminal/colour.ts';

const defaultUrl = 'http://127.0.0.1:9464/metrics';
const intervalMs = 1000;
// Long enough for a useful p99, short enough to show the current state.
const spanMs = 10_000;

const usage = `Shows the /metrics of a running gateway, once a second.

  npm run dashboard -- [URL] [options]

  URL      default ${defaultUrl}, where phase 5 and later have their admin listener
  --once   measures for a second, prints one frame and ends; this is the default in a pipe
  --help   this text

Ctrl-C ends it.`;

const clock: Clock = { monotonicMs: () => performance.now(), unixSeconds: () => Date.now() / 1000 };

await runCommand(async () => {
  const { values, positionals } = readArguments(usage, {
    once: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) return console.log(usage);
  const [word = defaultUrl, ...rest] = positionals;
  if (rest.length > 0) throw new CliError(`One URL at most, not ${positionals.length}.\n\n${usage}`);
  const url = readUrl(word);
  const first = await scrape(url, clock).catch((error) => {
    throw error instanceof Unreachable ? new CliError(helpFor(url, error.message)) : error;
  });
  if (values.once || !process.stdout.isTTY) await printOnce(url, first);
  else await follow(url, first);
});

async function printOnce(url: string, first: Scrape): Promise<void> {
  await delay(intervalMs);
  const second = await scrape(url, clock).catch((error) => {
    throw error instanceof Unreachable
      ? new CliError(`The gateway cannot be reached any more: ${error.message}.`)
      : error;
  });
  const window = new ScrapeWindow(spanMs);
  window.push(first);
  window.push(second);
  const size = { columns: Number.POSITIVE_INFINITY, rows: Number.POSITIVE_INFINITY };
  console.log(drawFrame(url, summarise(window.oldest ?? second, second), size, colour));
}

/** Draws until a signal arrives. When the gateway cannot be reached, it waits for it. */
async function follow(url: string, first: Scrape): Promise<void> {
  const stop = new AbortController();
  // Not once(): signal-exit, which log-update uses, ends the process when its own listener is the only one left.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  // It hides the cursor, and shows it again whenever the process ends.
  const screen = createLogUpdate(process.stdout);
  let window = new ScrapeWindow(spanMs);
  window.push(first);
  let newest = first;
  let lostAt: string | undefined;
  let notice: string | undefined;

  while (!stop.signal.aborted) {
    const { columns = 80, rows = 24 } = process.stdout;
    // The last line stays free for the cursor.
    const size = { columns, rows: rows - 1 };
    screen(drawFrame(url, summarise(window.oldest ?? newest, newest), size, colour, notice));
    await delay(intervalMs, undefined, { signal: stop.signal }).catch(() => {});
    if (stop.signal.aborted) break;
    try {
      newest = await scrape(url, clock, stop.signal);
      // A window must not include the time without scrapes, or its rates would be averages over that time.
      if (notice) window = new ScrapeWindow(spanMs);
      window.push(newest);
      notice = undefined;
      lostAt = undefined;
    } catch (error) {
      if (stop.signal.aborted) break;
      if (!(error instanceof Unreachable || error instanceof CliError)) throw error;
      lostAt ??= new Date().toTimeString().slice(0, 8);
      const reason = error instanceof Unreachable ? error.message : 'the response is not that of a gateway';
      notice = `Lost since ${lostAt}: ${reason}. Waiting for it; the figures below are the last ones.`;
    }
  }
  screen.done();
}

function readUrl(word: string): string {
  if (!/^https?:\/\//.test(word) || !URL.canParse(word)) {
    throw new CliError(`"${word}" is not a URL such as ${defaultUrl}.\n\n${usage}`);
  }
  const url = new URL(word);
  if (url.pathname === '/') url.pathname = '/metrics';
  return url.href;
}

function helpFor(url: string, reason: string): string {
  return `No gateway at ${url}: ${reason}.
Start one in another terminal, then run this command again:
  npm start                        the newest phase; its metrics are at ${defaultUrl}
  npm run dashboard -- URL         for a gateway with another ADMIN_HOST or ADMIN_PORT`;
}
