import { METHODS } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { Problem } from './problem.ts';

// Plain path segments without escapes, so that a prefix has only one spelling.
const PREFIX = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)+$/;

/** One route of the config: requests at or below `prefix` go to `service`. */
const routeSchema = z.strictObject({
  prefix: z
    .string()
    .regex(PREFIX, 'must be / and plain path segments, without a slash at the end, such as /api/orders')
    .refine((prefix) => prefix !== '/health', 'is the path of the health check of the gateway'),
  service: z.string(),
  access: z.enum(['public', 'protected']),
});

/** The routes of the config, each prefix once. */
export const routesSchema = z
  .array(routeSchema)
  .min(1)
  .superRefine(
    (routes, context) => {
      const places = new Map<string, number>();
      for (const [i, route] of routes.entries()) {
        if (typeof route?.prefix !== 'string') continue;
        const first = places.get(route.prefix);
        if (first === undefined) places.set(route.prefix, i);
        else {
          const message = `routes[${first}] has the prefix ${JSON.stringify(route.prefix)} too`;
          context.addIssue({ code: 'custom', path: [i, 'prefix'], message });
        }
      }
    },
    { when: ({ value }) => Array.isArray(value) },
  );

/** One route of the config. */
export type Route = z.infer<typeof routeSchema>;

/** Every method of Node except CONNECT, which asks for a tunnel, and TRACE, whose response would show the gateway's headers. */
export const PROXIED_METHODS = METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE');

const NO_ROUTE = new Problem(
  'route',
  404,
  'no-route',
  'No route',
  'No route of this gateway matches the path. Check its spelling; letter case counts.',
);

/** Handler for requests that match no Fastify route. */
export function refuseUnrouted(): never {
  throw NO_ROUTE;
}

/** One path segment in the tree of prefixes, with the segments below it. */
interface Segment {
  readonly below: Map<string, Segment>;
  route: Route | null;
  /** The path of the service URL, which replaces a prefix at the end of the request path. */
  path: string;
  /** The same without a slash at its end, which replaces a prefix before a slash. */
  base: string;
}

/**
 * Gate: finds the route with the longest prefix of whole segments, or refuses. It walks a tree, so the cost depends
 * on the segments of the request path, not on the number of routes.
 */
export function findRoute(routes: Route[], services: Record<string, { url: string }>) {
  const root = newSegment();
  for (const route of routes) {
    let segment = root;
    for (const name of route.prefix.slice(1).split('/')) {
      const next = segment.below.get(name) ?? newSegment();
      segment.below.set(name, next);
      segment = next;
    }
    segment.route = route;
    segment.path = new URL(services[route.service]?.url as string).pathname;
    segment.base = segment.path.replace(/\/$/, '');
  }

  return (request: FastifyRequest, _reply: FastifyReply, done: () => void): void => {
    const { url = '', method = '' } = request.raw;
    const query = url.indexOf('?');
    const pathEnd = query === -1 ? url.length : query;
    let segment: Segment | undefined = root;
    let found: Segment | null = null;
    let prefixEnd = 0;
    for (let end = 0; end < pathEnd; ) {
      const start = end + 1;
      end = url.indexOf('/', start);
      if (end === -1 || end > pathEnd) end = pathEnd;
      const name = url.slice(start, end);
      // Each segment is decoded by itself, so an escaped slash is never a separator. Fastify has refused invalid escapes.
      segment = segment.below.get(name.includes('%') ? decodeURIComponent(name) : name);
      if (!segment) break;
      if (segment.route) {
        found = segment;
        prefixEnd = end;
      }
    }
    if (!found || method === 'TRACE') throw NO_ROUTE;

    request.exchange.route = found.route;
    // After the prefix every byte is forwarded as received: escapes, double slashes, the query.
    request.exchange.target = (prefixEnd === pathEnd ? found.path : found.base) + url.slice(prefixEnd);
    done();
  };
}

function newSegment(): Segment {
  return { below: new Map(), route: null, path: '', base: '' };
}
