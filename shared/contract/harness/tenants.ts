import { createHash } from 'node:crypto';
import type { GatewayConfig } from './gateway.ts';

/** A route, a service and a client that only one test uses. Their series in /metrics count only that test. */
export interface Tenant {
  readonly service: string;
  readonly prefix: string;
  readonly client: string;
  /** The key of the client. */
  readonly headers: { 'X-API-Key': string };
}

/** The tenants of a test file, and the sections of the config that define them. */
export interface Tenants {
  /** The next tenant that no test has used. */
  next(): Tenant;
  /** The tenants returned by `next()` so far. */
  readonly taken: Tenant[];
  readonly parts: Parts;
}

type Parts = Pick<GatewayConfig, 'services' | 'routes'> & { clients: unknown[] };

/** Makes tenants with protected routes to the service at `url`. Their names begin with `kind`. */
export function makeTenants(kind: string, count: number, url: string, timeoutMs: number): Tenants {
  const names = Array.from({ length: count }, (_, i) => `${kind}-${i}`);
  const taken: Tenant[] = [];
  return {
    taken,
    next() {
      const name = names[taken.length];
      if (name === undefined) throw new Error(`This file needs more than ${count} tenants called ${kind}.`);
      const tenant: Tenant = {
        service: `service-${name}`,
        prefix: `/${name}`,
        client: `client-${name}`,
        headers: { 'X-API-Key': `key-${name}` },
      };
      taken.push(tenant);
      return tenant;
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

/** Merges the config sections of several kinds of tenants. */
export function joinTenants(...all: Tenants[]): Parts {
  return {
    services: Object.assign({}, ...all.map(({ parts }) => parts.services)),
    routes: all.flatMap(({ parts }) => parts.routes),
    clients: all.flatMap(({ parts }) => parts.clients),
  };
}
