import type { Summary } from './summary.ts';

/** The size of a frame, in characters. */
export interface Size {
  columns: number;
  rows: number;
}

/** Marks a text: with colour on a terminal, and not at all elsewhere. */
export interface Paint {
  bold(text: string): string;
  red(text: string): string;
  green(text: string): string;
}

interface Cell {
  text: string;
  paint?: ((text: string) => string) | undefined;
}

interface Table {
  /** The number of columns with text, aligned left. The others are numbers, aligned right. */
  words: number;
  head: string[];
  rows: Cell[][];
  /** Shown when there are no rows. */
  empty: string;
}

const gap = '  ';
const unknown = '-';

/** Draws at most `rows` lines of at most `columns` characters. `notice` replaces the line with the time span. */
export function drawFrame(
  url: string,
  summary: Summary,
  size: Size,
  paint: Paint,
  notice?: string | undefined,
): string {
  const tables = [
    routesOf(summary, paint),
    circuitsOf(summary, paint),
    refusalsOf(summary),
    clientsOf(summary),
  ];
  const heading = headingOf(url, summary, paint, notice);
  // A blank line and the head above each table.
  const room = size.rows - heading.length - 2 * tables.length;
  const shares = share(
    tables.map(({ rows }) => Math.max(1, rows.length)),
    room,
  );
  const lines = [
    ...heading,
    ...tables.flatMap((table, i) => [[], ...drawTable(table, shares[i] ?? 1, paint)]),
  ].slice(0, size.rows);
  return lines.map((line) => drawLine(line, size.columns)).join('\n');
}

function headingOf(url: string, summary: Summary, paint: Paint, notice: string | undefined): Cell[][] {
  const { phase, version, node, upSeconds, inFlight, redisUp, lagSeconds, memoryBytes } = summary;
  const facts = [
    `up ${upSeconds === null ? unknown : formatSpan(upSeconds)}`,
    `${formatRate(summary.perSecond)} req/s`,
    `in flight ${inFlight ?? unknown}`,
    `event loop lag ${formatSeconds(lagSeconds)}`,
    `memory ${memoryBytes === null ? unknown : `${Math.round(memoryBytes / 2 ** 20)} MiB`}`,
  ];
  const redis: Cell =
    redisUp === null
      ? { text: `Redis ${unknown}` }
      : redisUp
        ? { text: 'Redis up', paint: paint.green }
        : { text: 'Redis lost', paint: paint.red };
  const span = summary.seconds === null ? 'measuring' : `over ${Math.round(summary.seconds)} s`;
  return [
    [
      { text: `${phase}`, paint: paint.bold },
      { text: `${gap}version ${version}${gap}Node ${node}${gap}${url}` },
    ],
    [{ text: `${facts.join(gap)}${gap}` }, redis],
    [notice ? { text: notice, paint: paint.red } : { text: `Rates and times ${span}.` }],
  ];
}

function routesOf({ routes }: Summary, paint: Paint): Table {
  return {
    words: 1,
    head: ['ROUTE', 'req/s', 'p50', 'p99', '5xx/s', 'total'],
    rows: routes.map(({ route, perSecond, p50Seconds, p99Seconds, errorsPerSecond, total }) => [
      { text: route },
      { text: formatRate(perSecond) },
      { text: formatSeconds(p50Seconds) },
      { text: formatSeconds(p99Seconds) },
      { text: formatRate(errorsPerSecond), paint: errorsPerSecond ? paint.red : undefined },
      { text: formatCount(total) },
    ]),
    empty: 'no request yet',
  };
}

function circuitsOf({ circuits }: Summary, paint: Paint): Table {
  return {
    words: 2,
    head: ['CIRCUIT', 'state', 'openings', 'rejected'],
    rows: circuits.map(({ service, open, openings, rejections }) => [
      { text: service },
      open ? { text: 'open', paint: paint.red } : { text: 'closed', paint: paint.green },
      { text: formatCount(openings) },
      { text: formatCount(rejections) },
    ]),
    empty: 'no service',
  };
}

function refusalsOf({ refusals }: Summary): Table {
  return {
    words: 2,
    head: ['REFUSED BY', 'reason', 'req/s', 'total'],
    rows: refusals.map(({ stage, reason, perSecond, total }) => [
      { text: stage },
      { text: reason },
      { text: formatRate(perSecond) },
      { text: formatCount(total) },
    ]),
    empty: 'nothing yet',
  };
}

function clientsOf({ clients }: Summary): Table {
  return {
    words: 1,
    head: ['TOP CLIENTS', 'req/s', 'refused/s', 'total'],
    rows: clients.map(({ client, perSecond, refusedPerSecond, total }) => [
      { text: client },
      { text: formatRate(perSecond) },
      { text: formatRate(refusedPerSecond) },
      { text: formatCount(total) },
    ]),
    empty: 'no client yet',
  };
}

function drawTable({ words, head, rows, empty }: Table, room: number, paint: Paint): Cell[][] {
  const hidden = rows.length > room ? rows.length - room + 1 : 0;
  const shown = rows.slice(0, rows.length - hidden);
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => printable(row[i]?.text ?? '').length)),
  );
  const align = (cells: Cell[], style?: (text: string) => string): Cell[] =>
    cells.map(({ text, paint: own }, i) => {
      const width = widths[i] ?? 0;
      const clean = printable(text);
      const padded = i < words ? clean.padEnd(width) : clean.padStart(width);
      return { text: i === 0 ? padded : gap + padded, paint: own ?? style };
    });
  const heading = align(
    head.map((text) => ({ text })),
    paint.bold,
  );
  if (rows.length === 0) return [heading, [{ text: empty }]];
  const rest = hidden > 0 ? [[{ text: `… and ${hidden} more` }]] : [];
  return [heading, ...shown.map((row) => align(row)), ...rest];
}

/** Cuts a line to the width first and colours it then, so that no escape sequence is cut. */
function drawLine(cells: Cell[], columns: number): string {
  let left = columns;
  let line = '';
  for (const { text, paint } of cells) {
    const part = printable(text).slice(0, left);
    left -= part.length;
    line += paint && part !== '' ? paint(part) : part;
  }
  return line.trimEnd();
}

/** Distributes the rows one by one among the tables that need more of them. Each table gets at least 1. */
function share(wants: number[], room: number): number[] {
  const given = wants.map(() => 1);
  for (let left = room - given.length; left > 0; ) {
    const hungry = wants.flatMap((want, i) => (want > (given[i] ?? 0) ? [i] : []));
    if (hungry.length === 0) break;
    for (const i of hungry.slice(0, left)) {
      given[i] = (given[i] ?? 0) + 1;
      left -= 1;
    }
  }
  return given;
}

/** Replaces control characters, because text of a server must not send escape sequences to the terminal. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?');
}

function formatRate(perSecond: number | null): string {
  if (perSecond === null) return unknown;
  return perSecond >= 1000 ? formatCount(perSecond) : perSecond.toFixed(1);
}

function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

/** 0.0312 as `31.2 ms`, 2.5 as `2.50 s`. */
function formatSeconds(seconds: number | null): string {
  if (seconds === null) return unknown;
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  const ms = seconds * 1000;
  return `${ms >= 100 ? ms.toFixed(0) : ms.toFixed(1)} ms`;
}

/** 7384 as `2h 3m`. */
function formatSpan(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const units: Array<[string, number]> = [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ];
  const first = units.findIndex(([, size]) => whole >= size);
  if (first < 0) return '0s';
  let left = whole;
  const parts = units.slice(first, first + 2).map(([unit, size]) => {
    const count = Math.floor(left / size);
    left -= count * size;
    return `${count}${unit}`;
  });
  return parts.join(' ');
}
