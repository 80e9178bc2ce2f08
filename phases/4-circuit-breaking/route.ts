import { METHODS } from 'node:http';
import type { FastifyHttpProxyOptions } from '@fastify/http-proxy';
import * as z from 'zod';
import { Problem } from './problem.ts';

declare module 'fastify' {
  interface FastifyContextConfig extends Partial<Route> {}
}

// Plain path segments: no escapes, nothing the router reads as a pattern. A prefix has one spelling only.
const PREFIX = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)+$/;

/** One route of the config: requests at or below `prefix` go to `service`. */
const routeSchema = z.strictObject({
  prefix: z
    .string()
    .regex(PREFIX, 'must be / and plain path segments, without a slash at the end, such as /api/orders')
    .refine((prefix) => prefix !== '/health', 'would shadow the health check of the gateway'),
  service: z.string(),
  access: z.enum(['public', 'protected']),
});

/** The routes of the config, each prefix once. */
export const routesSchema = z
  .array(routeSchema)
  .min(1)
  .superRefine(
    (routes, context) => {
      const prefixes = new Set<string>();
      for (const [i, route] of routes.entries()) {
        if (prefixes.has(route?.prefix)) {
          context.addIssue({
            code: 'custom',
            path: [i, 'prefix'],
            message: 'an earlier route has this prefix too',
          });
        }
        prefixes.add(route?.prefix);
      }
    },
    { when: ({ value }) => Array.isArray(value) },
  );

export type Route = z.infer<typeof routeSchema>;

/** Every method of Node but CONNECT, which asks for a tunnel, and TRACE, which would show our headers. */
export const PROXIED_METHODS = METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE');

const NO_ROUTE = new Problem(
  'route',
  404,
  'no-route',
  'No route',
  'No route of this gateway matches the path. Check its spelling; letter case counts.',
);

/** Handler of last resort: no prefix matches. */
export function refuseUnrouted(): never {
  throw NO_ROUTE;
}

/**
 * The @fastify/http-proxy options that make a route of the config. The plugin matches whole segments, longest
 * prefix first, swaps the prefix for the path of `url`, and hands the rest to `handler`.
 */
export function proxyOptions(route: Route, url: string, handler: FastifyHttpProxyOptions['handler']) {
  return {
    prefix: route.prefix,
    upstream: url,
    config: route,
    handler,
    httpMethods: PROXIED_METHODS,
    proxyPayloads: false,
    // The plugin would parse the query and write it anew; forward.ts takes it from the raw target instead.
    preRewrite: (target: string) => target.split('?', 1)[0] as string,
  };
}
