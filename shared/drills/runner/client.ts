import http from 'node:http';
import { text } from 'node:stream/consumers';

/** A response as the client sees it. */
export interface DrillResponse {
  /** 'none' when the client aborted, or the connection broke. */
  readonly status: number | 'none';
  readonly headers: Headers;
  readonly body: string;
  /** From the request to the last byte. */
  readonly ms: number;
}

/** Calls one gateway. */
export interface Client {
  /**
   * Sends one GET. The path is sent as it is, and a list of values as one field line each: fetch() resolves dots in a
   * path, and joins the lines. Never rejects: a request that fails has the status 'none'.
   */
  get(
    path: string,
    options?: { headers?: Record<string, string | string[]>; signal?: AbortSignal },
  ): Promise<DrillResponse>;
  /** Sends `count` GETs at once. */
  burst(count: number, path: string): Promise<DrillResponse[]>;
}

/** A client for the gateway at this URL. `over` aborts all its requests. */
export function clientOf(url: string, over: AbortSignal): Client {
  const { hostname, port } = new URL(url);
  const get: Client['get'] = async (path, { headers = {}, signal } = {}) => {
    const begun = performance.now();
    const signals = AbortSignal.any(signal ? [signal, over] : [over]);
    try {
      const answer = await answerOf({ hostname, port, path, headers, signal: signals });
      const body = await text(answer);
      const pairs = Object.entries(answer.headers).map(([name, value]) => [name, String(value)]);
      const status = answer.statusCode ?? 'none';
      return { status, headers: new Headers(Object.fromEntries(pairs)), body, ms: performance.now() - begun };
    } catch {
      return { status: 'none', headers: new Headers(), body: '', ms: performance.now() - begun };
    }
  };
  return { get, burst: (count, path) => Promise.all(Array.from({ length: count }, () => get(path))) };
}

function answerOf(options: http.RequestOptions): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    http.get(options, resolve).on('error', reject);
  });
}

/** The statuses of many responses, in the order of their first occurrence, such as '5 x 200, 7 x 429'. */
export function tally(answers: readonly DrillResponse[]): string {
  const counts = new Map<DrillResponse['status'], number>();
  for (const { status } of answers) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, count]) => `${count} x ${status}`).join(', ');
}

/** How many of the responses have this status. */
export function countOf(status: DrillResponse['status'], answers: readonly DrillResponse[]): number {
  return answers.filter((answer) => answer.status === status).length;
}

/** The time of the slowest response, in whole ms. */
export function slowest(answers: readonly DrillResponse[]): number {
  return Math.round(Math.max(...answers.map(({ ms }) => ms)));
}
