import { setTimeout as delay } from 'node:timers/promises';
import { createLogUpdate } from 'log-update';
import { readArguments } from '../cli/arguments.ts';
import { CliError, runCommand } from '../cli/cli-error.ts';
import { colour } from '../cli/colour.ts';
import { drawFrame } from './frame.ts';
import { type Clock, type Scrape, scrape, Unreachable } from './scrape.ts';
import { ScrapeWindow } from './scrape-window.ts';
import { summarise } from './summary.ts';

const defaultUrl = 'http://127.0.0.1:9464/metrics';
const intervalMs = 1000;
// Long enough for a p99 to mean something, short enough to see what happens now.
const spanMs = 10_000;

const usage = `Shows what a gateway is doing: its /metrics, once a second.

  npm run dashboard -- [URL] [options]

  URL      default ${defaultUrl}, where phase 5 has its admin listener
  --once   measures for a second, prints one frame and ends; so it does in a pipe
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
    throw error instanceof Unreachable ? new CliError(`The gateway has gone: ${error.message}.`) : error;
  });
  const window = new ScrapeWindow(spanMs);
  window.push(first);
  window.push(second);
  const size = { columns: Number.POSITIVE_INFINITY, rows: Number.POSITIVE_INFINITY };
  console.log(drawFrame(url, summarise(window.oldest ?? second, second), size, colour));
}

/** Draws until a signal comes. A gateway that goes away is waited for. */
async function follow(url: string, first: Scrape): Promise<void> {
  const stop = new AbortController();
  // Not once(): the cursor's keeper would then find itself the only listener, and end the process with the signal.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  // It hides the cursor, and shows it again at the end, however that comes.
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
      // What happened while nobody looked belongs to no second of this window.
      if (notice) window = new ScrapeWindow(spanMs);
      window.push(newest);
      notice = undefined;
      lostAt = undefined;
    } catch (error) {
      if (stop.signal.aborted) break;
      if (!(error instanceof Unreachable || error instanceof CliError)) throw error;
      lostAt ??= new Date().toTimeString().slice(0, 8);
      const reason = error instanceof Unreachable ? error.message : 'something else answers';
      notice = `Lost since ${lostAt}: ${reason}. Waiting for it; below, the last figures.`;
    }
  }
  screen.done();
}

function readUrl(word: string): string {
  if (!/^https?:\/\//.test(word) || !URL.canParse(word)) {
    throw new CliError(`"${word}" is no URL such as ${defaultUrl}.\n\n${usage}`);
  }
  const url = new URL(word);
  if (url.pathname === '/') url.pathname = '/metrics';
  return url.href;
}

function helpFor(url: string, reason: string): string {
  return `No gateway at ${url}: ${reason}.
Start one in another terminal, and then this again:
  npm start                        the newest phase; its metrics are at ${defaultUrl}
  npm run dashboard -- URL         for a gateway whose ADMIN_HOST or ADMIN_PORT is another`;
}
