import { createHash } from 'node:crypto';
import type { GatewayConfig } from './gateway.ts';

/** A route, a service and a client that one test has for itself, and with them series of its own in /metrics. */
export interface Lane {
  readonly service: string;
  readonly prefix: string;
  readonly client: string;
  /** The key of the client. */
  readonly headers: { 'X-API-Key': string };
}

/** The lanes of a test file, and the parts of the config that make them. */
export interface Lanes {
  /** One that nobody has had before. */
  next(): Lane;
  /** Those that somebody has. */
  readonly taken: Lane[];
  readonly parts: Parts;
}

type Parts = Pick<GatewayConfig, 'services' | 'routes'> & { clients: unknown[] };

/** Makes protected lanes to one service; their names begin with `kind`. */
export function makeLanes(kind: string, count: number, url: string, timeoutMs: number): Lanes {
  const names = Array.from({ length: count }, (_, i) => `${kind}-${i}`);
  const taken: Lane[] = [];
  return {
    taken,
    next() {
      const name = names[taken.length];
      if (name === undefined) throw new Error(`This file needs more than ${count} lanes called ${kind}.`);
      const lane: Lane = {
        service: `service-${name}`,
        prefix: `/${name}`,
        client: `client-${name}`,
        headers: { 'X-API-Key': `key-${name}` },
      };
      taken.push(lane);
      return lane;
    },
    parts: {
      services: Object.fromEntries(names.map((name) => [`service-${name}`, { url, timeoutMs }])),
      routes: names.map((name) => ({
        prefix: `/${name}`,
        service: `service-${name}`,
        access: 'protected',
      })),
      clients: names.map((name) => ({
        id: `client-${name}`,
        keySha256: [createHash('sha256').update(`key-${name}`).digest('hex')],
      })),
    },
  };
}

/** One config for several kinds of lanes. */
export function joinLanes(...all: Lanes[]): Parts {
  return {
    services: Object.assign({}, ...all.map(({ parts }) => parts.services)),
    routes: all.flatMap(({ parts }) => parts.routes),
    clients: all.flatMap(({ parts }) => parts.clients),
  };
}
