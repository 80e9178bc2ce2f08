import type { RedisOptions } from 'ioredis';
import * as z from 'zod';
import { redisUrlSchema as oneServerSchema } from './rate-limit.ts';

const FORMS =
  'must be redis://HOST, rediss://HOST, a list of them with commas (nodes of a cluster), ' +
  'redis-sentinel://HOST:PORT,HOST:PORT/0#NAME or redis+unix:///PATH';
const CLUSTER_FORM = 'must have one scheme, user and password for all nodes of the cluster, and no database';
const SENTINEL_FORM = 'must be redis-sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT[/DATABASE]#NAME';
const SOCKET_FORM = 'must be redis+unix:///PATH or redis+unix://USER:PASSWORD@localhost/PATH';
const NOT_ENCODED = 'must be percent-encoded: %25 for each %, and UTF-8 for each other character';

const SENTINEL_URL = /^redis-sentinel:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/(\d*))?#([\w.-]+)$/;

// A Sentinel that hangs must leave time to ask another one.
const SENTINEL_BUDGET_MS = 300;

/** REDIS_URL: where the requests are counted. A list of URLs is a cluster. */
export const redisUrlSchema = z.string().transform((text, context): string | string[] => {
  const urls = /^rediss?:/.test(text) ? text.split(',').map((url) => url.trim()) : [text];
  const fault = faultIn(text, urls);
  if (fault) context.addIssue({ code: 'custom', message: fault });
  return urls.length > 1 ? urls : text;
});

function faultIn(text: string, urls: string[]): string | undefined {
  if (!isDecodable(text)) return NOT_ENCODED;
  if (text.startsWith('redis-sentinel:')) return isSentinelUrl(text) ? undefined : SENTINEL_FORM;
  if (text.startsWith('redis+unix:')) return isSocketUrl(text) ? undefined : SOCKET_FORM;
  for (const url of urls) {
    const { error } = oneServerSchema.safeParse(url);
    if (error) return /^rediss?:/.test(url) ? error.issues[0]?.message : FORMS;
  }
  return urls.length === 1 || areOneCluster(urls.map((url) => new URL(url))) ? undefined : CLUSTER_FORM;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function areOneCluster(urls: URL[]): boolean {
  const users = urls.map(({ protocol, username, password }) => [protocol, username, password].join(' '));
  return new Set(users).size === 1 && urls.every(({ pathname }) => /^\/?0?$/.test(pathname));
}

function isSentinelUrl(text: string): boolean {
  const hosts = SENTINEL_URL.exec(text)?.[2]?.split(',') ?? [''];
  return hosts.every((host) => /:\d+$/.test(host) && URL.canParse(`redis://${host}`));
}

function isSocketUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { pathname, search, hash } = new URL(text);
  return pathname.length > 1 && search === '' && hash === '';
}

/** As `serverOf` of redis.ts, for a socket and for Sentinels; null for other URLs. */
export function serverBehind(text: string): [url: URL, server: RedisOptions] | null {
  if (text.startsWith('redis+unix:')) {
    const { username, password, pathname } = new URL(text);
    return [new URL(`redis://${username}:${password}@localhost`), { path: decodeURIComponent(pathname) }];
  }
  const [, user = '', hosts = '', database = '', name = ''] = SENTINEL_URL.exec(text) ?? [];
  if (name === '') return null;
  const sentinels = hosts.split(',').map((host) => {
    const { hostname, port } = new URL(`redis://${host}`);
    return { host: hostname.replace(/^\[(.+)\]$/, '$1'), port: Number(port) };
  });
  const server: RedisOptions = {
    sentinels,
    name,
    sentinelRetryStrategy: () => null,
    connectTimeout: SENTINEL_BUDGET_MS,
    sentinelCommandTimeout: SENTINEL_BUDGET_MS,
  };
  return [new URL(`redis://${user}@localhost/${database}`), server];
}

/** `host:port` of a URL with one host, as the nodes of a cluster write it. */
export function addressOf(text: string): string {
  const { hostname, port } = new URL(text);
  return `${hostname.replace(/[[\]]/g, '')}:${port || 6379}`;
}

/** The URL of the node at `address`. Its scheme, user and password are those of `text`. */
export function urlOfNode(text: string, address: string): string {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon);
  const url = new URL(text);
  url.host = (host.includes(':') ? `[${host}]` : host) + address.slice(colon);
  return url.href;
}

/** A node that does not know its own host leaves it out. It is the host at which the node was asked. */
export function fullAddress(address: string, asked: string): string {
  const colon = address.lastIndexOf(':');
  return /^\??$/.test(address.slice(0, colon)) ? asked.replace(/:\d+$/, address.slice(colon)) : address;
}
